//! What a run has come to for a task.

use workplan_engine::document::TaskStatus;
use workplan_engine::plan::PlanClause;
use workplan_engine::run::{Ending, Scope, task_progress};

use super::sim::{Build, Run, Val, command, state};

fn status(run: &Run) -> Option<TaskStatus> {
    task_progress(&run.plan, &run.fold(), 0).status
}

#[test]
fn a_task_is_done_when_all_its_steps_are_or_nothing_asks_for_them() {
    let mut b = Build::new();
    let a = b.step("a", state(), &[]);
    b.step("b", state(), &[a]);
    let mut run = Run::new(&b, 1);
    assert_eq!(status(&run), None, "nothing is known of it");
    run.world.set(1, Val::Done);
    assert_eq!(run.settle(), Ending::Succeeded);
    assert_eq!(status(&run), Some(TaskStatus::Done), "`a` is not needed: `b` is so");
}

#[test]
fn a_blocked_step_is_not_passed() {
    let mut b = Build::new();
    let a = b.step("a", state(), &[]);
    let c = b.step("b", state(), &[a]);
    let mut person = b.plan.tasks[0].clone();
    (person.id, person.full_id, person.steps) = ("T02".into(), "WP-T02".into(), Vec::new());
    b.plan.tasks.push(person);
    b.plan.steps[c].needs_people = vec![1];
    let mut run = Run::new(&b, 1);
    assert_eq!(run.process().finish(), Ending::Waiting);
    assert_eq!(run.world.vars, [Val::Done, Val::Absent], "what can be done is done");
    assert_eq!(status(&run), Some(TaskStatus::InProgress));
}

#[test]
fn a_task_of_which_only_a_part_was_asked_for_is_in_progress() {
    let mut b = Build::new();
    let a = b.step("a", state(), &[]);
    b.step("b", state(), &[a]);
    for (scope, expected) in [
        (Scope::Only("a".to_owned()), TaskStatus::InProgress),
        (Scope::Task("T01".to_owned()), TaskStatus::Done),
    ] {
        let mut run = Run::new(&b, 1);
        run.ask(scope);
        assert_eq!(run.settle(), Ending::Succeeded);
        assert_eq!(status(&run), Some(expected));
    }
}

#[test]
fn weak_evidence_proves_no_clause() {
    for (spec, expected) in [(command(false), TaskStatus::InProgress), (state(), TaskStatus::Done)]
    {
        let mut b = Build::new();
        let a = b.step("a", spec, &[]);
        b.plan.steps[a].proves = true;
        b.plan.tasks[0].clauses = vec![PlanClause { text: "it is so".into(), steps: vec![a] }];
        let mut run = Run::new(&b, 1);
        assert_eq!(run.settle(), Ending::Succeeded);
        assert_eq!(status(&run), Some(expected));
    }
}
