use proptest::prelude::*;

use super::*;

fn show(file: &SourceFile, node: &Node, out: &mut String) {
    match &node.value {
        Value::Null => out.push('~'),
        Value::Scalar(s) => {
            out.push_str(&format!("{:?}", s.text));
            if s.plain {
                out.push('p');
            }
        }
        Value::Seq(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                show(file, item, out);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (i, e) in map.entries.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                out.push_str(&format!("{}: ", e.key));
                show(file, &e.value, out);
            }
            out.push('}');
        }
    }
    out.push_str(&format!("<{}>", file.slice(node.span).replace('\r', "\\r").replace('\n', "\\n")));
}

fn check(text: &str, expected: &str) {
    let file = SourceFile::new("a.yaml", text);
    let (node, diagnostics) = parse_file(&file);
    let mut out = String::new();
    if let Some(node) = &node {
        show(&file, node, &mut out);
    }
    for d in diagnostics.iter() {
        let at = d.line_column().unwrap();
        out.push_str(&format!("!{} {}:{} {}", d.code, at.line, at.column, d.message));
        for label in &d.labels {
            out.push_str(&format!(" ({} {})", label.text, file.slice(label.span)));
        }
    }
    assert_eq!(out, expected, "{text:?}");
}

#[test]
fn scalars_keep_their_style_and_place() {
    check("a: b", r#"{a: "b"p<b>}<a: b>"#);
    check("a: \"b\" # c\n", r#"{a: "b"<"b">}<a: "b">"#);
    check("a: 'b''c'\t\n", r#"{a: "b'c"<'b''c'>}<a: 'b''c'>"#);
    check("a: b c \t # d\nd: 1\n", "{a: \"b c\"p<b c>, d: \"1\"p<1>}<a: b c \t # d\\nd: 1>");
    check(
        "- 1\n- [x, {y: z}]\n",
        r#"["1"p<1>, ["x"p<x>, {y: "z"p<z>}<{y: z}>]<[x, {y: z}]>]<- 1\n- [x, {y: z}]>"#,
    );
    check("", "");
    check("# only a comment\n", "");
}

#[test]
fn nothing_is_null_after_its_key() {
    check("a:\nb: ~\nc: null\n", r"{a: ~<>, b: ~<~>, c: ~<null>}<a:\nb: ~\nc: null>");
}

#[test]
fn line_ends_marks_and_letters_do_not_shift() {
    check("a: ü\r\nb: \"ö\"\r\n", r#"{a: "ü"p<ü>, b: "ö"<"ö">}<a: ü\r\nb: "ö">"#);
    check("\u{feff}ä: 1\nb: 2", r#"{ä: "1"p<1>, b: "2"p<2>}<ä: 1\nb: 2>"#);
}

#[test]
fn block_scalars() {
    check(
        "a: |\n  x\n  y\nb: >\n  x\n  y\n",
        r#"{a: "x\ny\n"<x\n  y>, b: "x y\n"<x\n  y>}<a: |\n  x\n  y\nb: >\n  x\n  y>"#,
    );
}

#[test]
fn what_is_refused() {
    check(
        "a: 1\na: 2",
        r#"{a: "1"p<1>}<a: 1>!duplicate-key 2:1 the key `a` stands here twice (first here a)"#,
    );
    check(
        "a: &x 1\nb: *x",
        r#"{a: "1"p<&x 1>, b: ~<*x>}<a: &x 1\nb: *x>!yaml-unsupported 1:4 anchors (`&name`) are not supported!yaml-unsupported 2:4 aliases (`*name`) are not supported"#,
    );
    check("a: *x", "!yaml-unsupported 1:4 aliases (`*name`) are not supported");
    check(
        "a: !!str 1",
        r#"{a: "1"p<!!str 1>}<a: !!str 1>!yaml-unsupported 1:4 tags (`!name`) are not supported"#,
    );
    check(
        "<<: {a: 1}\nb: 2",
        r#"{b: "2"p<2>}<<<: {a: 1}\nb: 2>!yaml-unsupported 1:1 merge keys (`<<`) are not supported"#,
    );
    check(
        "? [a]\n: 1\nb: 2\n",
        r#"{b: "2"p<2>}<? [a]\n: 1\nb: 2>!yaml-unsupported 1:3 a key must be plain text"#,
    );
    check(": 1\n", "{}<>!yaml-unsupported 1:1 a key must be plain text");
    check(
        "a: 1\n---\nb: 2\n",
        r#"{a: "1"p<1>}<a: 1>!yaml-unsupported 2:1 a second YAML document starts here"#,
    );
}

#[test]
fn syntax_errors() {
    check("a: b: c", "!yaml-syntax 1:5 `: ` is not allowed here");
    check("a:\n\tb: c", "!yaml-syntax 2:1 a tab cannot indent YAML");
    check("a: b\n\tb: c", "!yaml-syntax 2:1 a tab cannot indent YAML");
    check("a: \"b", "!yaml-syntax 1:4 a quote is not closed");
    check("a: `b`", "!yaml-syntax 1:4 a value cannot begin with this character");
    check(
        "a: [b",
        "!yaml-syntax 1:6 this is not valid YAML: while parsing a flow sequence, expected ',' or ']'",
    );
    check("a: b\nc\n", "!yaml-syntax 2:1 a `:` is missing after the key");
    let escape = "this escape does not exist in a double-quoted text";
    check("a: \"\\d\"", &format!("!yaml-syntax 1:4 {escape}"));
    check("ü: \"\\d\"", &format!("!yaml-syntax 1:4 {escape}"));
}

#[test]
fn deep_nesting_is_an_error_not_a_crash() {
    let message = "the YAML is nested more than 64 levels deep";
    check(&"[".repeat(100), &format!("!yaml-too-deep 1:65 {message}"));
    check(&"- ".repeat(100), &format!("!yaml-too-deep 1:129 {message}"));
    // The library gives up by itself before the first event.
    check(&"[".repeat(100_000), &format!("!yaml-too-deep 1:256 {message}"));
}

#[test]
fn pieces_of_a_larger_file() {
    let text = "> - ```task\n>   a: 1\n>   b:\n>     - ü\n>   ```\n";
    let file = SourceFile::new("a.md", text);
    let piece = |s: &str| {
        let at = text.find(s).unwrap();
        Span::new(at, at + s.len())
    };
    for pieces in [
        [piece("a: 1\n"), piece("b:\n"), piece("  - ü\n")],
        [piece("a: 1"), piece("b:"), piece("  - ü")],
    ] {
        let (node, diagnostics) = parse_block(&file, &pieces);
        assert_eq!(diagnostics, Diagnostics::default());
        let mut out = String::new();
        show(&file, &node.unwrap(), &mut out);
        assert_eq!(out, r#"{a: "1"p<1>, b: ["ü"p<ü>]<- ü>}<a: 1\n>   b:\n>     - ü>"#);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn never_panics(text in "[a-c:\\-\\[\\]{},&*!|>'\"%@`#? \t\r\n~.<ü\u{feff}\u{2028}\\\\0-9]{0,60}") {
        let file = SourceFile::new("a.yaml", text);
        let (node, diagnostics) = parse_file(&file);
        if let Some(node) = node {
            let mut out = String::new();
            show(&file, &node, &mut out);
        }
        for d in diagnostics.iter() {
            prop_assert!(d.line_column().is_some());
            prop_assert!(file.text.get(d.span.unwrap().start..d.span.unwrap().end).is_some());
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let file = SourceFile::new("a.yaml", text);
        let (_, diagnostics) = parse_file(&file);
        for d in diagnostics.iter() {
            prop_assert!(file.text.get(d.span.unwrap().start..d.span.unwrap().end).is_some());
        }
    }

    #[test]
    fn a_scalar_stands_where_the_span_says(
        keys in proptest::collection::btree_map("[a-zü]{1,6}", "[a-z0-9äß€]{1,8}", 1..6),
        end in prop_oneof![Just("\n"), Just("\r\n"), Just(" \t\r\n"), Just(" # ü\n")],
        bom in any::<bool>(),
    ) {
        let mut text = String::from(if bom { "\u{feff}" } else { "" });
        for (key, value) in &keys {
            text.push_str(&format!("{key}: {value}{end}"));
        }
        let file = SourceFile::new("a.yaml", text);
        let (node, diagnostics) = parse_file(&file);
        prop_assert_eq!(diagnostics, Diagnostics::default());
        let node = node.unwrap();
        for entry in &node.as_map().unwrap().entries {
            prop_assert_eq!(file.slice(entry.key_span), &entry.key);
            prop_assert_eq!(file.slice(entry.value.span), &keys[&entry.key]);
        }
    }
}
