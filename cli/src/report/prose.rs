//! Sentences with names in backticks, as HTML.

/// The sentence, escaped; what stands in backticks is code. A lone backtick stays.
pub(super) fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('`') {
        escape(&mut out, before);
        let Some((code, after)) = tail.split_once('`') else {
            out.push('`');
            rest = tail;
            continue;
        };
        out.push_str("<code>");
        escape(&mut out, code);
        out.push_str("</code>");
        rest = after;
    }
    escape(&mut out, rest);
    out
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_code_and_everything_is_escaped() {
        assert_eq!(prose("`T01.<b>` failed & `x"), "<code>T01.&lt;b&gt;</code> failed &amp; `x");
        assert_eq!(prose("<script>'\"</script>"), "&lt;script&gt;&#39;&quot;&lt;/script&gt;");
    }
}
