//! What a test came to.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

use workplan_engine::duration;

use super::criteria::Criteria;

/// All that was measured. Times count from the fault.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) subject: String,
    pub(super) old: String,
    pub(super) new: Option<String>,
    /// Until a write worked.
    pub(super) recovery: Option<Duration>,
    /// Until a new client could read.
    pub(super) reads: Option<Duration>,
    /// Until all of it was whole again.
    pub(super) redundancy: Option<Duration>,
    /// Until a user could log in at the application.
    pub(super) login: Option<Duration>,
    /// Rows that were acknowledged, and are not there.
    pub(super) lost: Option<usize>,
    pub(super) acknowledged: usize,
    pub(super) max_primaries: usize,
    pub(super) samples: u64,
    /// Which nodes took writes from when on.
    pub(super) primaries: Vec<String>,
    pub(super) errors: Vec<String>,
}

impl Report {
    /// As outputs.
    pub(super) fn outputs(&self) -> BTreeMap<String, Value> {
        let seconds = |time: Option<Duration>| {
            time.map_or(Value::Null, |t| json!((t.as_secs_f64() * 1000.0).round() / 1000.0))
        };
        BTreeMap::from([
            ("recovered".to_owned(), json!(self.recovery.is_some())),
            ("recovery_s".to_owned(), seconds(self.recovery)),
            ("reads_s".to_owned(), seconds(self.reads)),
            ("redundancy_s".to_owned(), seconds(self.redundancy)),
            ("login_s".to_owned(), seconds(self.login)),
            ("lost_rows".to_owned(), json!(self.lost)),
            ("acknowledged_rows".to_owned(), json!(self.acknowledged)),
            ("max_primaries".to_owned(), json!(self.max_primaries)),
            ("samples".to_owned(), json!(self.samples)),
            ("primaries".to_owned(), json!(self.primaries)),
            ("client_errors".to_owned(), json!(self.errors)),
            ("old_primary".to_owned(), json!(self.old)),
            // Redundancy is back when, among all else, this was seen of it by SQL.
            (
                "old_primary_role".to_owned(),
                json!(if self.redundancy.is_some() { "standby" } else { "unknown" }),
            ),
            ("new_primary".to_owned(), json!(self.new.clone().unwrap_or_default())),
            ("subject".to_owned(), json!(self.subject)),
        ])
    }

    /// What is against the criteria, each a sentence.
    pub(super) fn problems(&self, criteria: &Criteria) -> Vec<String> {
        let window = duration::format(criteria.window);
        let mut out = Vec::new();
        if self.recovery.is_none() {
            out.push(format!(
                "writes through the pooler did not work again within {window} (clients saw: {})",
                match self.errors.as_slice() {
                    [] => "no error at all, a hang".to_owned(),
                    some => some.join("; "),
                }
            ));
        }
        // Writes by one who stayed connected are no comfort to a client that comes now.
        if self.recovery.is_some() && self.reads.is_none_or(|at| at > criteria.window) {
            out.push(format!(
                "new clients could not read through the pooler again within {window} (clients \
                 saw: {})",
                self.errors.join("; ")
            ));
        }
        if self.max_primaries > 1 {
            out.push(format!(
                "{} nodes took writes at one moment ({})",
                self.max_primaries,
                self.primaries.join("; ")
            ));
        }
        if let (Some(max), Some(lost)) = (criteria.max_lost_rows, self.lost)
            && lost as u64 > max
        {
            out.push(format!("{lost} acknowledged rows were lost, and {max} may be"));
        }
        if criteria.login && self.login.is_none() {
            out.push(format!("no user could log in at the application within {window}"));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use workplan_platform::Fault;

    fn report() -> Report {
        Report {
            subject: String::new(),
            old: "a".to_owned(),
            new: Some("b".to_owned()),
            recovery: Some(Duration::from_millis(2345)),
            reads: Some(Duration::from_millis(2400)),
            redundancy: None,
            login: None,
            lost: Some(2),
            acknowledged: 9,
            max_primaries: 1,
            samples: 5,
            primaries: Vec::new(),
            errors: Vec::new(),
        }
    }

    #[test]
    fn what_passes_depends_on_the_fault() {
        let of = |fault, max, login| Criteria::new(fault, Duration::from_secs(20), max, login);
        assert!(report().problems(&of(Fault::Kill, None, false)).is_empty());
        let lost = ["2 acknowledged rows were lost, and 0 may be"];
        assert_eq!(report().problems(&of(Fault::FastStop, None, false)), lost);
        assert_eq!(report().problems(&of(Fault::Kill, Some(0), false)), lost);
        let login = ["no user could log in at the application within 20s"];
        assert_eq!(report().problems(&of(Fault::Freeze, None, true)), login);
        assert_eq!(report().outputs()["recovery_s"], json!(2.345));
        assert_eq!(report().outputs()["old_primary_role"], json!("unknown"));
        for reads in [None, Some(Duration::from_secs(21))] {
            let late = Report { reads, errors: vec!["reader: x (3 times)".to_owned()], ..report() };
            let said = "new clients could not read through the pooler again within 20s (clients \
                        saw: reader: x (3 times))";
            assert_eq!(late.problems(&of(Fault::Kill, None, false)), [said]);
        }
    }

    #[test]
    fn a_hang_and_a_split_brain_are_named() {
        let mut report = report();
        report.recovery = None;
        report.max_primaries = 2;
        report.primaries = vec!["0.0 s: a".to_owned(), "1.0 s: a, b".to_owned()];
        let criteria = Criteria::new(Fault::Kill, Duration::from_secs(20), None, false);
        let told = report.problems(&criteria);
        assert!(told[0].ends_with("within 20s (clients saw: no error at all, a hang)"), "{told:?}");
        assert_eq!(told[1], "2 nodes took writes at one moment (0.0 s: a; 1.0 s: a, b)");
    }
}
