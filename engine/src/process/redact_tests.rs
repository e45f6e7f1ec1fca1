use std::sync::Arc;

use proptest::prelude::*;

use super::Redactor;

fn in_pieces(redactor: &Arc<Redactor>, pieces: &[&[u8]]) -> Vec<u8> {
    let mut stream = redactor.stream();
    let mut all = Vec::new();
    for piece in pieces {
        all.extend_from_slice(stream.push(piece));
    }
    all.extend_from_slice(stream.finish());
    all
}

#[track_caller]
fn check(secret: &str, text: &str, expected: &str) {
    assert_eq!(Redactor::new([secret]).redact_str(text), expected);
}

#[test]
fn a_secret_and_its_encodings_are_replaced() {
    check("hunter22", "pw=hunter22!", "pw=***!");
    check("a&b/c d", "a%26b%2Fc%20d a%26b%2fc+d", "*** ***");
    check("a\"b<\nc", r#"{"x":"a\"b<\nc","y":"a\"b\u003c\nc"}"#, r#"{"x":"***","y":"***"}"#);
    check("it's", r#"'it'\''s' 'it'"'"'s' 'it''s' it\'s"#, "'***' '***' '***' ***");
    check("hunter22", "aHVudGVyMjI= aHVudGVyMjI.", "*** ***.");
    check("value\n", "value value\n", "*** ***");
    check("-----BEGIN\r\nabcdefgh\r\nxy", "abcdefgh xy -----BEGIN", "*** xy ***");
    check("", "axb", "axb");
}

/// A password of one letter must not take that letter out of every output.
#[test]
fn what_is_too_short_to_be_told_from_other_text_stays() {
    for secret in ["a", "abc", "abc\r\n", "\n\n\n\n"] {
        assert!(!Redactor::finds(secret.as_bytes()), "{secret:?}");
        check(secret, "a database abc\n\n\n\n", "a database abc\n\n\n\n");
    }
    assert!(Redactor::finds(b"abcd") && Redactor::finds(b"abcd\n"));
    check("abcd", "xabcdx", "x***x");
    let both = Redactor::new(["ab", "abcd"]);
    assert_eq!(both.redact_str("ab abcd"), "ab ***");
}

#[test]
fn base64_of_a_larger_text_hides_the_secret_at_every_offset() {
    use base64::Engine as _;
    for prefix in ["", "u", "us", "use", "user:"] {
        let larger = format!("{prefix}correct horse battery:more");
        let text = base64::engine::general_purpose::STANDARD.encode(&larger);
        let redacted = Redactor::new(["correct horse battery"]).redact_str(&text);
        assert!(redacted.contains("***"), "{redacted}");
        assert!(redacted.len() < text.len() - 20, "{redacted}");
    }
}

#[test]
fn only_a_possible_start_of_a_secret_is_kept_back() {
    let redactor = Arc::new(Redactor::new(["secret"]));
    let mut stream = redactor.stream();
    assert_eq!(stream.push(b"Password: "), b"Password: ");
    assert_eq!(stream.push(b"a se"), b"a ");
    assert_eq!(stream.push(b"cre"), b"");
    assert_eq!(stream.push(b"t\n"), b"***\n");
    assert_eq!(stream.push(b"sec"), b"");
    assert_eq!(stream.finish(), b"sec");
}

#[test]
fn a_longer_secret_wins_over_its_own_start() {
    let redactor = Arc::new(Redactor::new(["pass", "password"]));
    assert_eq!(in_pieces(&redactor, &[b"pass", b"wor", b"d pass"]), b"*** ***");
    assert_eq!(in_pieces(&redactor, &[b"pass", b"wor", b"t"]), b"***wort");
}

#[test]
fn debug_does_not_show_the_secret() {
    assert!(!format!("{:?}", Redactor::new(["hunter22"])).contains("hunter22"));
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_and_no_secret_remains(
        secrets in prop::collection::vec("[abc]{1,7}", 0..4),
        text in "[abcd]{0,60}",
        cuts in prop::collection::vec(0..60_usize, 0..12),
    ) {
        let redactor = Arc::new(Redactor::new(&secrets));
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &text.as_bytes()[w[0]..w[1]]).collect();
        let whole = redactor.redact(text.as_bytes());
        prop_assert_eq!(&in_pieces(&redactor, &pieces), &whole);
        let shown = String::from_utf8(whole).unwrap();
        for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
            prop_assert!(!shown.contains(secret.as_str()), "{} in {}", secret, shown);
        }
    }
}
