//! Texts with everything in them that a careless copy would lose or change.

use crate::lab::seed::Draw;

/// Words that things are called by.
pub(super) const WORDS: &[&str] = &[
    "cache", "queue", "login", "search", "mirror", "webhook", "release", "index", "parser",
    "backup", "token", "branch", "lock", "clock", "filter", "bridge",
];

/// Sentences with quotes, backslashes, percent signs, control characters and many scripts.
const ODD: &[&str] = &[
    "Grüße aus Köln, it's 100 % \"done\".",
    "Path `C:\\temp\\new` and a tab:\there.",
    "日本語のテスト、 and emoji 🚀👩‍💻.",
    "$HOME, ${x}, $(id), %s %d %%, {{ .Values }}.",
    "<b>kept</b> & <script>alert('x')</script>.",
    "Ελληνικά, кириллица, עברית, a zero\u{200b}width.",
    "NULL, '', '\\N', \\., -- and ; drop table \"user\".",
];

/// Some paragraphs of Markdown.
pub(super) fn text(draw: &mut Draw, paragraphs: usize) -> String {
    let mut out = String::new();
    for n in 0..paragraphs {
        let word = draw.word(WORDS);
        out.push_str(&format!("The {word} part, paragraph {}. {}\n\n", n + 1, draw.word(ODD)));
        if draw.below(3) == 0 {
            out.push_str(&format!("- [ ] {}\n- [x] {word}\n\n", draw.word(WORDS)));
        }
    }
    out
}

/// A title.
pub(super) fn title(draw: &mut Draw) -> String {
    let (one, two) = (draw.word(WORDS), draw.word(WORDS));
    match draw.below(3) {
        0 => format!("The {one} is slow when the {two} is full"),
        1 => format!("{one}: can't handle 'ä/ö' in the {two}"),
        _ => format!("Let the {one} know about the {two} (50 %)"),
    }
}

/// A public SSH key that nobody has the other half of.
pub(super) fn ssh_key(draw: &mut Draw, comment: &str) -> String {
    use base64::Engine as _;
    let mut blob = Vec::new();
    for part in [b"ssh-ed25519".to_vec(), draw.bytes(32)] {
        blob.extend_from_slice(&u32::try_from(part.len()).unwrap_or(0).to_be_bytes());
        blob.extend_from_slice(&part);
    }
    format!("ssh-ed25519 {} {comment}", base64::engine::general_purpose::STANDARD.encode(blob))
}
