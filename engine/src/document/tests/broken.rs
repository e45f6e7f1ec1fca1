use super::*;

#[test]
fn nothing_to_run() {
    check("nothing_to_run", &["", "\u{feff}", " \n\t\n", "# Only text\n", "---\nid: W-1\n---\n"]);
}

#[test]
fn task_blocks() {
    let block = |yaml: &str| format!("## T01 - A\n\n```task\n{yaml}```\n");
    check(
        "task_blocks",
        &[
            &block(""),
            &block("id: W-1-T01\n"),
            &block("status: todo\n"),
            &block("id:\nstatus:\n"),
            &block("id: [a]\nstatus: {b: c}\n"),
            &block("id: W-1-T01\nstatus: dnoe\n"),
            &block("id: W-1-T01\nstatus: \"in progress\"\n"),
            &block("id: W-1-T01\nstatus: WIP\nstaus: x\n"),
            &block("id: W-1-T01\nstatus: todo\ndepend_on: [T02]\nneeds: T02\nowner: me\n"),
            &block("id: W-1-T01\nstatus: todo\nstatus: done\n"),
            &block("id: W-2-T01\nstatus: todo\n"),
            &block("id: T01\nstatus: todo\n"),
            &format!("---\nid: W-1\n---\n{}", block("id: T01\nstatus: todo\n")),
            &block("id: W-1-a.b\nstatus: todo\n"),
            &block("just text\n"),
            &block("- a\n"),
            &block("id: W-1-T01\n\tstatus: todo\n"),
            &block("id: W-1-T01\nstatus: todo: x\n"),
        ],
    );
}

#[test]
fn dependencies() {
    let with = |value: &str| {
        third("").replace("id: W-1-T03\n", &format!("id: W-1-T03\ndepends_on: {value}\n"))
    };
    check(
        "dependencies",
        &[
            &with("[T01, W-1-T02, T01]"),
            &with("T01"),
            &with("\"T01, T02\""),
            &with("[T10, T3]"),
            &with("[T03]"),
            &with("[[T01]]"),
            &with("{a: b}"),
            &with(""),
        ],
    );
}

#[test]
fn structure() {
    check(
        "structure",
        &[
            "## T01 - A\n\nText.\n",
            &task("Pre-condition: T02 done.\n\n## T02 - B\n\nText."),
            "```task\nid: W-1-T01\nstatus: todo\n```\n",
            "# X\n\nText.\n\n```task\nid: W-1-T01\nstatus: todo\n```\n\n```task\nid: W-1-T02\nstatus: todo\n```\n",
            &task("```task\nid: W-1-T02\nstatus: todo\n```"),
            &format!("{}{}", task(""), task("")),
            &task("```sh\nls\n"),
            "## T01 - A\n\n```task\nid: W-1-T01\nstatus: todo\n\n## T02 - B\n\n```task\nid: W-1-T02\nstatus: todo\n```\n",
            "## T01 - A\n\n- ```task\n  id: W-1-T01\n  status: todo\n\nText.\n",
            &format!(
                "{}</div>\n## T02 - B\n```task\nid: W-1-T02\nstatus: todo\n```\n",
                task("<div>")
            ),
            &task("<!--\n## T02 - B\n```task\nid: x\n```\n-->"),
        ],
    );
}
