//! Steps between an opening and a closing one, which go together.

use super::*;

/// stop, dump, restore, start, and a login proof after it.
pub(super) fn outage() -> Case {
    let mut case = Case::new();
    let stop = case.step("stop", &[]);
    let dump = case.step("dump", &[stop]);
    let restore = case.step("restore", &[dump]);
    let start = case.step("start", &[restore]);
    case.proof("login", &[start]);
    case.bracket(stop, start, &[dump, restore]);
    case
}

#[test]
fn a_bracket_opens_only_if_a_step_inside_acts() {
    let mut case = outage();
    case.so(&[2, 3, 4]);
    assert_eq!(case.due(None), [""; 0]);
    assert!(!case.looks.contains(&0), "the opening of a shut bracket is not looked at");
    let marks = case.resolve(None);
    assert_eq!(marks[0], Mark::NotNeeded("nothing inside `outage` will act".to_owned()));
    case.seen.insert(2, Seen::Absent);
    assert_eq!(case.due(None), ["stop", "dump", "restore", "start", "login"]);
    case.so(&[1]);
    assert_eq!(case.due(None), ["stop", "restore", "start", "login"]);
}

#[test]
fn that_the_service_is_up_says_nothing_of_the_work_inside() {
    let mut case = outage();
    // Only its end needs `restore`, and the service is up before the first run too.
    case.so(&[3]);
    assert_eq!(case.due(None), ["stop", "dump", "restore", "start", "login"]);
}

#[test]
fn the_end_of_a_shut_bracket_alone_is_looked_at() {
    let mut case = outage();
    case.so(&[2, 4]);
    assert_eq!(case.due(None), ["start", "login"], "the service is down for another reason");
    case.seen.insert(3, Seen::Unknown("no answer".to_owned()));
    assert_eq!(case.due(None), [""; 0], "it acts only on what was really seen");
}

#[test]
fn an_open_bracket_is_closed_and_a_closed_one_opens_again() {
    let mut case = outage();
    case.settled.extend([0, 1, 2]);
    case.open.insert(0);
    assert_eq!(case.due(None), ["start", "login"]);
    // It was closed in this run, then something inside is to be done again.
    case.open.clear();
    case.settled.extend([3, 4]);
    assert_eq!(case.due(None), [""; 0]);
    case.forced.insert(2);
    assert_eq!(case.due(None), ["stop", "restore", "start"]);
}

#[test]
fn a_bracket_that_cannot_close_does_not_open() {
    for stuck in 0..4 {
        let mut case = outage();
        let after = case.step("after", &[3]);
        let beside = case.step("beside", &[1]);
        let free = case.step("free", &[]);
        let person = case.task("T02", TaskStatus::Todo);
        case.plan.steps[stuck].needs_people = vec![person];
        let marks = case.resolve(None);
        for step in [0, 1, 2, 3, after, beside] {
            assert!(
                matches!(marks[step], Mark::Blocked { .. }),
                "{stuck}: {step} is {:?}",
                marks[step]
            );
        }
        assert!(marks[free].is_due());
    }
    // Also where the step between the opening and the work is so.
    let mut case = outage();
    case.so(&[1]);
    let person = case.task("T02", TaskStatus::Todo);
    case.plan.steps[0].needs_people = vec![person];
    assert!(matches!(case.resolve(None)[2], Mark::Blocked { .. }));
}

#[test]
fn a_proof_alone_opens_no_bracket() {
    let mut case = Case::new();
    let stop = case.step("stop", &[]);
    let switch = case.step("switch", &[stop]);
    let works = case.proof("works", &[switch]);
    let start = case.step("start", &[works]);
    case.plan.steps[works].proves = true;
    case.bracket(stop, start, &[switch, works]);
    case.so(&[switch, start]);
    assert_eq!(case.due(None), ["works"]);
    case.seen.insert(switch, Seen::Absent);
    assert_eq!(case.due(None), ["stop", "switch", "works", "start"]);
}
