use super::*;

#[test]
fn front_matter() {
    let body = task("");
    check(
        "front_matter",
        &[
            &format!("---\nid: W-1\ntitle: \"The  title\"\nstatus: active\nextra: 1\n---\n{body}"),
            &format!("\u{feff}---\r\nid: W-1\r\nstatus: Done\r\n---\r\n# Head `x`\r\n\r\n{body}"),
            &format!("---\nid: 'W-1'\n...\n{body}"),
            &format!("---\ntitle: x\n---\n{body}"),
            &format!("---\nid:\n---\n{body}"),
            &format!("---\nid: [a]\n---\n{body}"),
            &format!("---\nid: ../x\nstatus: [a]\n---\n{body}"),
            &format!("---\nid: W-1\nstaus: active\nupdate: 1\nstatus: actve\n---\n{body}"),
            &format!("---\nid: W-1\nstatus: active\n\n# Head\n\n{body}\n---\n"),
            "---\nid: W-1\n",
            &format!("---\nid: W-1\n\ttitle: x\n---\n{body}"),
            &format!("---\nid: W-1\nid: W-2\n---\n{body}"),
            &format!("---\njust text\n---\n{body}"),
            &format!("---\n---\n{body}"),
        ],
    );
}

#[test]
fn headings_and_fences() {
    let plain = task("").replace("T01 - A", "HEAD");
    let with = |head: &str| plain.replace("## HEAD", head);
    check(
        "headings_and_fences",
        &[
            &with("### T01 — A — B `c`"),
            &with("#### T01: A"),
            &with("# T01 – A"),
            &with("##### T01 A"),
            &with("## W-1-T01 - A"),
            &with("T01 - A\n======"),
            &with("## Do it"),
            &with("## T02 - A"),
            &plain.replace("```", "~~~"),
            &task("").replace("```task", "````Task").replace("```\n", "````\n"),
            &task("").replace("```task", "```yaml"),
            &task("").replace("```task", "```yaml").replace("W-1-T01", "X-T01"),
            "## T01 - A\n\n- ```task\n  id: W-1-T01\n  status: todo\n  depends_on:\n    - T01\n  ```\n",
            "## T01 - A\n\n> ```task\n> id: W-1-T01\n> status: 'todo' # ü\n> ```\n",
        ],
    );
}

#[test]
fn sections_end_before_rules_and_headings() {
    let text = format!(
        "{}\n---\n\n***\n\n{}## Other\n\nText.\n",
        task("Text. \n\n### Deep\n\nMore"),
        task("x").replace("T01", "T02")
    );
    let (document, diagnostics) = read("W-1.md", &text);
    assert_eq!(diagnostics, Diagnostics::default());
    let sections: Vec<&str> =
        document.tasks.iter().map(|t| document.file.slice(t.section_span)).collect();
    assert_eq!(
        sections,
        [task("Text. \n\n### Deep\n\nMore").trim_end(), task("x").replace("T01", "T02").trim_end(),]
    );
    let task = &document.tasks[0];
    assert_eq!(document.file.slice(task.heading_span), "## T01 - A");
    assert_eq!(document.file.slice(task.block_span), "id: W-1-T01\nstatus: todo\n");
    assert_eq!(task.status_written(&document.file), Some("todo"));
}

#[test]
fn workplan_pre_conditions() {
    check(
        "workplan_pre_conditions",
        &[
            &format!(
                "# X\n\n## Pre-conditions\n\nThese:\n\n- a `b`\n- [ ] c\n  d\n\n1. e\n\n## Goal\n\n- f\n\n{}",
                task("")
            ),
            &format!("## Prerequisites\n\n* a\n* b\n\n{}", task("")),
            &format!("Preconditions:\n\n- a\n\n{}", task("")),
            &format!("Pre-condition: T01 done.\n\nDone when: x.\n\n{}", task("")),
        ],
    );
}

#[test]
fn steps_and_shell_blocks() {
    check(
        "steps_and_shell_blocks",
        &[
            &task("```steps\n- id: a\n  uses: command\n- id: b\n```"),
            &task("```steps\nid: a\n```\n"),
            &task("```steps\n```\n\n```steps\n- a\n```"),
            "# X\n\n```steps\n- id: a\n```\n",
            "# Runbook\n\nText.\n\n```sh step=dump check=\"test -s db.dump\" undo='rm -f db.dump' readonly\npg_dump x\nls\n```\n",
            "1. a\n\n   ~~~bash step=a needs=b\n   one\n     two\n   ~~~\n",
            "> ```shell step=a\r\n> one\r\n> two\r\n> ```\r\n",
            &task("```sh step=a\nls\n```\n\n```sh\nls\n```"),
            "```python step=a\nx\n```\n\n```sh step=b\nx\n```\n",
            "```sh step=\nx\n```\n",
            "```sh step=a check=\"x\nx\n```\n",
            "```sh title=\"a step=b\"\nx\n```\n\n```bash title=\"don't\nx\n```\n",
            "```sh step=a check=\"`x`\"\nx\n```\n",
        ],
    );
}
