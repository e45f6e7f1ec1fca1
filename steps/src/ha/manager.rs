//! The replication manager (repmgr): whom it has on record, and whether its daemons watch.
//!
//! Replication works without either. A failover does not: a standby whose daemon watches another
//! node, or does not run, never sees the primary die.

use std::collections::BTreeMap;

use crate::proof::Finding;

use super::topology::{Inspection, Passwords, unanswered};

/// One row a node: its name, whether it is active, its type, and the name of the one it follows.
const RECORD: &str = "select n.node_name::text, n.active, n.type::text, u.node_name::text \
     from repmgr.nodes n left join repmgr.nodes u on u.node_id = n.upstream_node_id";

/// Of the daemon beside a server: whether it runs, whether it is paused, and whom it watches. It
/// has not said so yet where it was just started, and says it again after a failover.
const DAEMON: &str = "select repmgr.repmgrd_is_running(), repmgr.repmgrd_is_paused(), \
     (select node_name::text from repmgr.nodes where node_id = repmgr.get_upstream_node_id())";

const HELP: &str = "right after a failover this passes by itself within seconds; where it stays, \
     start that node's pod again, which registers it anew";

/// What is on record of a node.
struct Recorded {
    active: bool,
    kind: String,
    follows: Option<String>,
}

impl Recorded {
    /// What is wrong with it, by who leads.
    fn problem(&self, name: &str, primary: &str) -> Option<String> {
        let leads = name == primary;
        if !self.active {
            Some(format!("repmgr has `{name}` on record as failed"))
        } else if (self.kind == "primary") != leads {
            Some(format!("repmgr has `{name}` on record as a {}, and `{primary}` leads", self.kind))
        } else if leads || self.follows.as_deref() == Some(primary) {
            None
        } else {
            let other = self.follows.as_ref().map_or("nobody".to_owned(), |n| format!("`{n}`"));
            Some(format!(
                "repmgr has `{name}` on record as following {other}, not `{primary}`: it would \
                 not see `{primary}` fail"
            ))
        }
    }
}

impl Inspection<'_> {
    /// Asks the primary for the record, and each node for its daemon.
    pub(super) async fn manager(&mut self, secrets: &Passwords) {
        let Some(database) = self.ha.replication_database.as_deref() else { return };
        let Some(primary) = self.primary() else { return };
        let superuser = &self.ha.superuser.0;
        let asked = self.ask_in(database, &primary.endpoint, superuser, secrets, RECORD).await;
        let record: BTreeMap<String, Recorded> = match asked {
            Ok(rows) => rows
                .iter()
                .map(|row| {
                    let (active, kind, follows) = (row.get(1), row.get(2), row.get(3));
                    (row.get(0), Recorded { active, kind, follows })
                })
                .collect(),
            Err(error) => {
                let mut finding = unanswered(&primary.name, &error);
                finding.what = format!("the record of repmgr cannot be read: {}", finding.what);
                self.findings.push(finding.with_help(HELP));
                return;
            }
        };
        let mut problems = Vec::new();
        for node in &self.ha.nodes {
            let name = &node.name;
            let on_record = match record.get(name) {
                Some(recorded) => recorded.problem(name, &primary.name),
                None => Some(format!("repmgr has no record of `{name}`")),
            };
            // One that does not answer was told of already.
            let Some(standby) = self.topology.roles.get(name) else {
                problems.extend(on_record);
                continue;
            };
            let asked = self.ask_in(database, &node.endpoint, superuser, secrets, DAEMON).await;
            let rows = match asked {
                Ok(rows) => rows,
                Err(error) => {
                    problems.extend(on_record);
                    problems.push(unanswered(name, &error).what);
                    continue;
                }
            };
            let Some(row) = rows.first() else { continue };
            let (runs, paused): (Option<bool>, Option<bool>) = (row.get(0), row.get(1));
            let watched: Option<&str> = row.get(2);
            if runs != Some(true) {
                problems.push(format!("repmgrd of `{name}` does not run"));
            } else if paused == Some(true) {
                problems.push(format!("repmgrd of `{name}` is paused: it would not fail over"));
            }
            if on_record.is_some() {
                problems.extend(on_record);
            } else if let Some(other) = watched.filter(|other| *standby && *other != primary.name) {
                problems.push(format!(
                    "repmgrd of `{name}` watches `{other}`, and `{}` leads",
                    primary.name
                ));
            }
        }
        self.findings
            .extend(problems.into_iter().map(|what| Finding::passing(what).with_help(HELP)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_judged_by_who_leads() {
        let of = |active, kind: &str, follows: Option<&str>| Recorded {
            active,
            kind: kind.to_owned(),
            follows: follows.map(str::to_owned),
        };
        assert_eq!(of(true, "primary", None).problem("a", "a"), None);
        assert_eq!(of(true, "standby", Some("a")).problem("b", "a"), None);
        for (recorded, name, said) in [
            (of(false, "standby", Some("a")), "b", "`b` on record as failed"),
            (of(true, "standby", Some("b")), "a", "`a` on record as a standby, and `a` leads"),
            (of(true, "primary", None), "b", "`b` on record as a primary, and `a` leads"),
            (of(true, "standby", Some("c")), "b", "as following `c`, not `a`: it would not see"),
            (of(true, "standby", None), "b", "as following nobody, not `a`"),
        ] {
            let problem = recorded.problem(name, "a").unwrap();
            assert!(problem.contains(said), "{problem}");
        }
    }
}
