//! Workplans of any size.

use std::fmt::Write as _;

use crate::Shape;

/// A runbook of named shell blocks that each run `true`.
#[must_use]
pub fn runbook(shape: Shape, steps: usize) -> String {
    let mut text = String::from("# A runbook\n");
    for step in 0..steps {
        // Without `needs` a block comes after the block before it.
        let needs = if shape == Shape::Wide { " needs=" } else { "" };
        let _ = write!(text, "\n```sh step=s{step}{needs}\ntrue\n```\n");
    }
    text
}

/// A workplan with so many tasks, as people write them: front matter, prose, a block for each task,
/// one step in each, every task after the one before it.
#[must_use]
pub fn tasks(count: usize) -> String {
    let mut text = String::from(
        "---\nid: BENCH-PL-WP-0001\ntype: workplan\ntitle: A large workplan\nstatus: active\n\
         owner: platform\ncreated: 2026-01-01\nupdated: 2026-01-01\n---\n\n# A large workplan\n\n\
         Some words about what this is for, and for whom.\n",
    );
    for task in 1..=count {
        let _ = write!(
            text,
            "\n## T{task:02} — Move part {task} of the platform\n\n\
             ```task\nid: BENCH-PL-WP-0001-T{task:02}\nstatus: todo\npriority: high\n```\n\n"
        );
        if task > 1 {
            let _ = writeln!(text, "Pre-condition: T{:02} done and healthy.\n", task - 1);
        }
        let _ = write!(
            text,
            "The part `part-{task}` moves with all that belongs to it. See also the\n\
             [notes](notes.md#{task}), and mind *the order*:\n\n\
             - stop what writes to it,\n- copy, compare, publish,\n- start it again.\n\n\
             ```steps\n- id: move\n  uses: command\n  with:\n    run: \"true\"\n    \
             check: test -f part-{task}\n    readonly: true\n    undo: rm -f part-{task}\n  \
             done_when: [\"part {task} has moved\"]\n```\n\nDone when: part {task} has moved.\n"
        );
    }
    text
}
