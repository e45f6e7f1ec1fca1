//! Workplans edited between run and resume, and while the Markdown is being written.

use crate::ground::Ground;

/// A chain of steps without checks; the third fails as long as there is no file `go`.
const CHAIN: &str = "# Chain

```sh step=a undo=\"echo -a >>ran\"
echo a >>ran
```

```sh step=b undo=\"echo -b >>ran\"
echo b >>ran
```

```sh step=c
test -f go
echo c >>ran
```
";

fn stopped() -> Ground {
    let ground = Ground::new(CHAIN);
    ground.run(&["run", "plan.md", "--yes"], 1);
    assert_eq!(ground.ran(), ["a", "b"]);
    ground.write("go", "");
    ground
}

#[test]
fn resume_without_an_edit_goes_on() {
    let ground = stopped();
    ground.run(&["resume", "--yes"], 0);
    assert_eq!(ground.ran(), ["a", "b", "c"]);
    ground.run(&["run", "plan.md", "--yes"], 0);
    assert_eq!(ground.ran(), ["a", "b", "c"], "a second run starts nothing");
}

#[test]
fn a_comment_or_other_prose_changes_nothing() {
    let ground = stopped();
    ground.edit("# Chain\n", "# Chain of things\n\nSome <!-- more --> words.\n");
    ground.run(&["resume", "--yes"], 0);
    assert_eq!(ground.ran(), ["a", "b", "c"]);
}

#[test]
fn a_changed_step_alone_is_done_anew_and_both_meanings_can_be_taken_back() {
    let ground = stopped();
    ground.edit("echo a >>ran", "echo a2 >>ran");
    ground.edit("undo=\"echo -a >>ran\"", "undo=\"echo -a2 >>ran\"");
    ground.run(&["resume", "--yes"], 0);
    assert_eq!(ground.ran(), ["a", "b", "a2", "c"]);
    let run = ground.run_id();
    ground.run(&["rollback", &run, "--yes"], 0);
    // What needs a step goes back before it; the old meaning goes back last.
    assert_eq!(ground.ran(), ["a", "b", "a2", "c", "-b", "-a2", "-a"]);
}

#[test]
fn an_added_step_is_run_and_no_other_again() {
    let ground = stopped();
    ground.edit("```sh step=c\n", "```sh step=new\necho new >>ran\n```\n\n```sh step=c\n");
    ground.run(&["resume", "--yes"], 0);
    assert_eq!(ground.ran(), ["a", "b", "new", "c"]);
}

#[test]
fn a_removed_step_can_still_be_taken_back() {
    let ground = stopped();
    ground.edit("```sh step=a undo=\"echo -a >>ran\"\necho a >>ran\n```\n", "");
    ground.run(&["resume", "--yes"], 0);
    assert_eq!(ground.ran(), ["a", "b", "c"]);
    let run = ground.run_id();
    ground.run(&["rollback", &run, "--yes"], 0);
    assert_eq!(ground.ran(), ["a", "b", "c", "-b", "-a"]);
}

#[test]
fn a_renamed_step_is_not_run_again() {
    let ground = stopped();
    ground.edit("step=a ", "step=alpha ");
    ground.run(&["resume", "--yes"], 0);
    assert_eq!(ground.ran(), ["a", "b", "c"]);
}

#[test]
fn an_edit_that_does_not_parse_is_refused_and_nothing_is_lost() {
    let ground = stopped();
    ground.edit("step=c", "step=c nedes=b");
    let text = ground.run(&["resume", "--yes"], 3);
    assert!(text.contains("nedes"), "{text}");
    ground.edit("nedes=b", "needs=b");
    ground.run(&["resume", "--yes"], 0);
    assert_eq!(ground.ran(), ["a", "b", "c"]);
}

/// Every step appends to the workplan itself: the edit of a person at the very moment at which
/// the engine writes its progress.
#[test]
fn a_concurrent_edit_of_the_markdown_is_never_lost() {
    let tasks: String = (1..=6)
        .map(|n| {
            format!(
                "## T0{n} - Task {n}\n\n```task\nid: WP-1-T0{n}\nstatus: todo\n```\n\n```steps\n- id: go\n  uses: command\n  with: {{run: \"sh edit {n}\", check: \"test -f done{n}\"}}\n```\n\n"
            )
        })
        .collect();
    let ground = Ground::new(&format!("---\nid: WP-1\nstatus: active\n---\n\n# Edits\n\n{tasks}"));
    // Prose is added at the top, in place, as an editor that keeps the file would, from a process
    // that goes on while the engine writes.
    ground.write(
        "edit",
        "touch done$1\nfor i in 1 2 3 4 5 6 7 8 9; do\n  sed \"s/^# Edits$/# Edits\\n\\nnote $1.$i/\" plan.md >plan.new.$1 && mv plan.new.$1 plan.md\ndone\n",
    );
    ground.run(&["run", "plan.md", "--yes", "--jobs", "1"], 0);
    let text = ground.read("plan.md");
    for n in 1..=6 {
        for i in 1..=9 {
            assert!(text.contains(&format!("note {n}.{i}\n")), "note {n}.{i} is lost:\n{text}");
        }
    }
    assert_eq!(text.matches("status: done").count(), 6, "{text}");
    assert_eq!(text.matches("Completed on ").count(), 6, "{text}");
}
