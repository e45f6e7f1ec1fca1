//! Which process belongs to which step.

use std::collections::{HashMap, HashSet};

use super::table::{Process, Table};

/// What tells a step's processes from others'.
#[derive(Debug, Clone)]
pub(super) struct Root {
    pub(super) id: u64,
    /// The main process, which is also its process group.
    pub(super) main: i32,
    /// The `NAME=value` entry in the environment of everything it starts.
    pub(super) marker: Vec<u8>,
}

/// Sorts the supervisor's descendants by step. What nothing ties to a step is under `None`.
///
/// In this order: the chain of parents up to a main process; for a tree whose parent has died the
/// process group, the marker in its environment, then a group or session that it shares with a
/// process already attributed.
pub(super) fn by_step(
    table: &Table,
    supervisor: i32,
    roots: &[Root],
) -> HashMap<Option<u64>, Vec<Process>> {
    let all = table.descendants(supervisor);
    attribute(&all, supervisor, roots, |pid, marker| table.started_with(pid, marker))
}

fn attribute(
    all: &[Process],
    supervisor: i32,
    roots: &[Root],
    started_with: impl Fn(i32, &[u8]) -> bool,
) -> HashMap<Option<u64>, Vec<Process>> {
    let parents: HashMap<i32, i32> = all.iter().map(|p| (p.pid, p.parent)).collect();
    let mains: HashMap<i32, u64> = roots.iter().map(|root| (root.main, root.id)).collect();
    let mut owners: HashMap<i32, u64> = HashMap::new();
    let (heads, others): (Vec<&Process>, Vec<&Process>) =
        all.iter().partition(|process| head(process.pid, &parents) == process.pid);
    for process in &heads {
        let owner = mains.get(&process.pid).or_else(|| mains.get(&process.group)).copied();
        let marked = || roots.iter().find(|root| started_with(process.pid, &root.marker));
        if let Some(owner) = owner.or_else(|| marked().map(|root| root.id)) {
            owners.insert(process.pid, owner);
        }
    }
    for process in &others {
        if let Some(owner) = owners.get(&head(process.pid, &parents)).copied() {
            owners.insert(process.pid, owner);
        }
    }
    let mut kin: HashMap<i32, u64> = HashMap::new();
    for process in all {
        if let Some(owner) = owners.get(&process.pid) {
            // All steps share the supervisor's own session, which so says nothing.
            for key in [process.group, process.session] {
                if key != supervisor {
                    kin.entry(key).or_insert(*owner);
                }
            }
        }
    }
    let mut sorted: HashMap<Option<u64>, Vec<Process>> = HashMap::new();
    for process in all {
        let head = head(process.pid, &parents);
        let related = || {
            let head = all.iter().find(|other| other.pid == head)?;
            kin.get(&head.group).or_else(|| kin.get(&head.session)).copied()
        };
        let owner = owners.get(&head).copied().or_else(related);
        sorted.entry(owner).or_default().push(*process);
    }
    sorted
}

/// The ancestor of `pid` that is a child of the supervisor, or `pid` itself.
fn head(pid: i32, parents: &HashMap<i32, i32>) -> i32 {
    let mut seen = HashSet::new();
    let mut head = pid;
    while let Some(parent) = parents.get(&head).filter(|parent| parents.contains_key(parent)) {
        if !seen.insert(head) {
            break;
        }
        head = *parent;
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUPERVISOR: i32 = 5;

    fn process(pid: i32, parent: i32, group: i32, session: i32) -> Process {
        Process { pid, parent, group, session, started: 0 }
    }

    fn owners(all: &[Process], marked: &[(i32, &str)]) -> Vec<(i32, Option<u64>)> {
        let root = |id, main, marker: &str| Root { id, main, marker: marker.into() };
        let roots = [root(1, 100, "A"), root(2, 200, "B")];
        let sorted = attribute(all, SUPERVISOR, &roots, |pid, marker| {
            marked.iter().any(|(p, m)| *p == pid && m.as_bytes() == marker)
        });
        let mut owners: Vec<(i32, Option<u64>)> = sorted
            .into_iter()
            .flat_map(|(owner, list)| list.into_iter().map(move |p| (p.pid, owner)))
            .collect();
        owners.sort_unstable();
        owners
    }

    #[test]
    fn parents_groups_markers_and_sessions_tell_the_step() {
        let all = [
            process(100, SUPERVISOR, 100, SUPERVISOR),
            process(101, 100, 101, 101),
            process(102, 101, 102, 102),
            // Orphans: by group, by marker, by a session shared with the marked one, by nothing.
            process(203, SUPERVISOR, 200, SUPERVISOR),
            process(204, SUPERVISOR, 204, 204),
            process(205, SUPERVISOR, 205, 204),
            process(206, 205, 206, 204),
            process(300, SUPERVISOR, 300, 300),
        ];
        let expected = [
            (100, Some(1)),
            (101, Some(1)),
            (102, Some(1)),
            (203, Some(2)),
            (204, Some(2)),
            (205, Some(2)),
            (206, Some(2)),
            (300, None),
        ];
        assert_eq!(owners(&all, &[(204, "B")]), expected);
    }
}
