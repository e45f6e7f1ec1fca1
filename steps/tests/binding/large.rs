//! Plans of a size that nobody writes by hand, in time that grows with the size.

use std::fmt::Write as _;

use crate::support::read;

const TASKS: usize = 100_000;

#[test]
fn a_hundred_thousand_tasks() {
    let mut case = String::new();
    for n in 1..=TASKS {
        writeln!(case, "@T{n:06} todo").unwrap();
        writeln!(case, "```steps\n- {{id: a, uses: command, with: {{run: \"true\"}}}}\n```")
            .unwrap();
    }
    let (binding, _) = read(&case);
    assert_eq!(binding.plan.unwrap().steps.len(), TASKS);
}

#[test]
fn a_chain_with_every_kind_of_question() {
    let mut case = String::new();
    for n in 1..=TASKS / 4 {
        let before = n - 1;
        let depends = if n > 1 { format!("depends_on: [T{before:06}]") } else { String::new() };
        writeln!(case, "@T{n:06} todo {depends}").unwrap();
        let hold = if n > 1 { "holds: [T000001.a]" } else { "" };
        writeln!(
            case,
            "```steps\n- {{id: a, uses: command, with: {{run: x, writes: [one, w{}], reads: [r{}]}}, {hold}}}\n```",
            n % 5000,
            n % 7,
        )
        .unwrap();
    }
    let (binding, _) = read(&case);
    assert_eq!(binding.plan.unwrap().steps.len(), TASKS / 4);
}

#[test]
fn shell_blocks_one_after_the_other() {
    let mut case = String::new();
    for n in 0..TASKS / 4 {
        writeln!(case, "```sh step=s{n}\ntrue\n```").unwrap();
    }
    let plan = read(&case).0.plan.unwrap();
    assert_eq!(plan.steps[plan.steps.len() - 1].needs, [plan.steps.len() - 2]);
}

#[test]
fn a_mistake_in_every_line() {
    let mut case = String::new();
    for n in 1..=TASKS / 4 {
        writeln!(case, "@T{n:06} todo").unwrap();
        writeln!(case, "```steps\n- {{id: a, uses: comand, needs: [b], holds: [c]}}\n```").unwrap();
    }
    let (binding, found) = read(&case);
    assert!(binding.plan.is_none());
    assert_eq!(found.0.len(), 3 * TASKS / 4);
}

#[test]
fn a_cycle_as_long_as_the_plan() {
    let mut case = "@T01 todo\n```steps\n".to_owned();
    let count = TASKS / 4;
    for n in 0..count {
        let before = (n + count - 1) % count;
        writeln!(case, "- {{id: s{n}, uses: command, needs: [s{before}], with: {{run: x}}}}")
            .unwrap();
    }
    case.push_str("```\n");
    let (binding, found) = read(&case);
    assert!(binding.plan.is_none());
    let [cycle] = &found.0[..] else { panic!("{} findings", found.0.len()) };
    assert_eq!(cycle.code, "dependency-cycle");
    assert!(cycle.message.contains(" -> … -> ") && cycle.message.len() < 400, "{}", cycle.message);
}
