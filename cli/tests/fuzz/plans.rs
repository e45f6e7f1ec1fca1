//! Workplans, plan files, targets and references.

use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use workplan_engine::document;
use workplan_engine::plan::{self, Sources, Target, Template};
use workplan_engine::text::{Diagnostics, SourceFile};

use crate::stir::{Tear, config, tear, torn};

const WORKPLAN: &str = include_str!("../../../workplans/RAIL-PL-WP-0001-platform-baseline.md");
const PLAN_FILE: &str = include_str!("../../../plans/RAIL-PL-WP-0001.yaml");
const TARGET: &str = "kind: local\nidentity: lab-1\nlocal: {dir: ../world, ports: 21000}\nrepos:\n  apps: ../apps\n\
    values: {role: gitea}\ndatabases:\n  old: {host: 127.0.0.1, port: 5432, user: u, password: \"env:PW\", database: d}\n  \
    new: {release: postgresql-ha, namespace: platform, database: d}\n";
/// The other forms: steps under a task, shell blocks, gates, brackets.
const INLINE: &str = "---\nid: F-1\nstatus: active\n---\n\n# Forms\n\n## T01 - A\n\n```task\nid: F-1-T01\n\
status: todo\n```\n\n```steps\n- id: a\n  uses: command\n  with: {run: \"echo x=1\", outputs: [x]}\n- id: b\n  uses: \
gate.approve\n  needs: [a]\n  with: {message: \"${{ steps.a.outputs.x }}\"}\n```\n\nDone when: it is so.\n\n## T02 - B\n\n\
```task\nid: F-1-T02\nstatus: todo\ndepends_on: [T01]\n```\n\n```sh step=c check=\"test -f c\" undo=\"rm c\" needs=T01.b \
timeout=5s\ntouch c\n```\n";

/// Everything that a command does with sources before it looks at the world.
fn read(workplan: &str, plan_file: Option<&str>, target: &str) -> (bool, Diagnostics) {
    let workplan = SourceFile::new("w.md", workplan);
    let plan_file = plan_file.map(|text| SourceFile::new("p.yaml", text));
    let (document, mut found) = document::parse(&workplan);
    let (target, more) = Target::parse("t", &SourceFile::new("t.yaml", target), "machine");
    found.extend(more);
    let target = target.unwrap_or_else(|| Target::implicit("state:/x".to_owned()));
    let registry = workplan_steps::catalogue();
    let binding = plan::bind(&Sources {
        document: &document,
        plan_file: plan_file.as_ref(),
        target: &target,
        inputs: &std::collections::BTreeMap::default(),
        registry: &registry,
        path: PathBuf::from("/nowhere/w.md"),
    });
    found.extend(binding.diagnostics);
    (binding.plan.is_some(), found)
}

fn sound(found: &Diagnostics) {
    for problem in found.iter() {
        assert!(!problem.message.is_empty());
        if let (Some(file), Some(span)) = (&problem.file, problem.span) {
            let file: &Arc<SourceFile> = file;
            assert!(
                file.text.get(span.start..span.end).is_some(),
                "{problem:?} is not in the file"
            );
        }
    }
}

#[test]
fn the_originals_can_be_read() {
    for (workplan, plan_file) in [(WORKPLAN, Some(PLAN_FILE)), (INLINE, None)] {
        let (_, found) = read(workplan, plan_file, TARGET);
        let few: Vec<_> = found.iter().map(|d| d.message.clone()).collect();
        assert!(few.len() < 20, "what is stirred should make sense before: {few:#?}");
    }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn a_torn_workplan_is_answered(tears in prop::collection::vec(tear(), 1..12)) {
        sound(&read(&torn(WORKPLAN, &tears), Some(PLAN_FILE), TARGET).1);
    }

    #[test]
    fn a_torn_plan_file_is_answered(tears in prop::collection::vec(tear(), 1..12)) {
        sound(&read(WORKPLAN, Some(&torn(PLAN_FILE, &tears)), TARGET).1);
    }

    #[test]
    fn a_torn_target_is_answered(tears in prop::collection::vec(tear(), 1..6)) {
        sound(&read(INLINE, None, &torn(TARGET, &tears)).1);
    }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn torn_steps_are_answered(tears in prop::collection::vec(tear(), 1..8)) {
        let tears: &[Tear] = &tears;
        let text = torn(INLINE, tears);
        let (bound, found) = read(&text, None, TARGET);
        sound(&found);
        // The same text says the same.
        let (again, more) = read(&text, None, TARGET);
        prop_assert_eq!((bound, found.iter().count()), (again, more.iter().count()));
    }

    #[test]
    fn a_reference_is_read_as_it_is_written(text in reference_text()) {
        if let Ok(template) = Template::parse(&text) {
            let mut at = 0;
            for (_, range) in template.references() {
                prop_assert!(at <= range.start && range.end <= text.len());
                prop_assert!(text[range.clone()].starts_with("${{") && text[range.clone()].ends_with("}}"));
                at = range.end;
            }
            prop_assert_eq!(template.has_references(), template.references().next().is_some());
        }
    }

    #[test]
    fn text_without_references_stands_for_itself(text in "[^$]{0,40}") {
        let template = Template::parse(&text).expect("there is no reference in it");
        prop_assert!(!template.has_references());
        // And quoted, any text at all does.
        let quoted = Template::parse(&format!("$${{{{{text}")).expect("it is quoted");
        prop_assert!(!quoted.has_references());
    }
}

fn reference_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("${{".to_owned()),
        Just("}}".to_owned()),
        Just("$".to_owned()),
        Just(" steps.T01.a.outputs.x ".to_owned()),
        Just("target.a.b".to_owned()),
        Just("inputs.x".to_owned()),
        "[a-z.{}$ ü]{0,5}",
    ];
    prop::collection::vec(part, 0..10).prop_map(|parts| parts.concat())
}
