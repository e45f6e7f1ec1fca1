//! What holds for any text.

use proptest::prelude::*;

use super::*;

/// Every span of the result can be cut out of the file.
fn touch(text: &str) {
    let (document, diagnostics) = read("W-1.md", text);
    let _ = render(&document, &diagnostics);
    for task in &document.tasks {
        for span in [task.heading_span, task.block_span, task.section_span] {
            let _ = document.file.slice(span);
        }
        let _ = task.status_written(&document.file);
    }
    for block in &document.shell_blocks {
        let _ = (document.file.slice(block.span), document.file.slice(block.info_span));
        for attribute in &block.attributes {
            let _ = document.file.slice(attribute.name_span);
            let _ = document.file.slice(attribute.value_span);
        }
    }
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("---\n".to_owned()),
        Just("id: W-1\n".to_owned()),
        Just("## T01 — A\n".to_owned()),
        Just("T02 - B\n".to_owned()),
        Just("```task\n".to_owned()),
        Just("~~~~ task\n".to_owned()),
        Just("```steps\n".to_owned()),
        Just("```sh step=a check=\"".to_owned()),
        Just("```\n".to_owned()),
        Just("id: W-1-T01\n".to_owned()),
        Just("status: wip\n".to_owned()),
        Just("Done when: a; `b;`".to_owned()),
        Just("**Pre-condition:** T01–T02 ".to_owned()),
        Just("Completed on 2026-01-01".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\r".to_owned()),
        Just("\t".to_owned()),
        Just("> ".to_owned()),
        Just("- ".to_owned()),
        Just("  ".to_owned()),
        Just("| a |\n|---|\n".to_owned()),
        Just("<div>\n".to_owned()),
        Just("&amp;".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("\0".to_owned()),
        "[a-zT0-9ü€:;.*_`~#\\[\\]()<>\\\\!|'\"-]{0,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn parsing_never_panics(pieces in proptest::collection::vec(piece(), 0..40)) {
        touch(&pieces.concat());
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        touch(&text);
    }
}

#[test]
fn many_tasks_take_linear_time() {
    let text: String = (0..5_000)
        .map(|n| {
            format!(
                "## T{n} - A\n\n```task\nid: W-1-T{n}\nstatus: todo\n```\n\nPre-condition: T{} done.\n\n\
                 Done when: a; b.\n\n",
                n / 2
            )
        })
        .collect();
    let (document, _) = read("W-1.md", &text);
    assert_eq!(document.tasks.len(), 5_000);
    assert_eq!(document.tasks[4_000].needs[0].0, "T2000");
}
