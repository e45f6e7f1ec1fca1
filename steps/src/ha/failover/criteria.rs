//! What passes, said before the fault.

use std::time::Duration;

use workplan_engine::duration;
use workplan_platform::Fault;

/// What a test has to keep to.
#[derive(Debug, Clone)]
pub(super) struct Criteria {
    pub(super) fault: Fault,
    pub(super) window: Duration,
    /// `None`: counted and told, no reason to fail.
    pub(super) max_lost_rows: Option<u64>,
    pub(super) login: bool,
}

impl Criteria {
    pub(super) fn new(
        fault: Fault,
        window: Duration,
        max_lost_rows: Option<u64>,
        login: bool,
    ) -> Self {
        // A primary that is stopped in order sends all it has to its standbys first.
        let max_lost_rows = max_lost_rows.or((fault == Fault::FastStop).then_some(0));
        Self { fault, window, max_lost_rows, login }
    }

    /// The criteria as sentences.
    pub(super) fn sentences(&self) -> Vec<String> {
        let window = duration::format(self.window);
        let mut out = vec![
            format!("writes and new clients' reads through the pooler work again within {window}"),
            "at no moment do two nodes take writes".to_owned(),
            format!("within another {window} the old primary is a standby and all standbys stream"),
        ];
        out.push(match self.max_lost_rows {
            Some(0) => "no acknowledged row is lost".to_owned(),
            Some(n) => format!("at most {n} acknowledged rows are lost"),
            None => "acknowledged rows that are lost are counted and told: replication is \
                     asynchronous and promises none of the last moments"
                .to_owned(),
        });
        if self.login {
            out.push(format!("users of the application can log in again within {window}"));
        }
        if self.fault == Fault::Freeze {
            out.push(
                "the frozen primary is never thawed: nothing fences it, and awake it would be a \
                 second primary"
                    .to_owned(),
            );
        }
        out
    }
}

/// The word of a fault.
pub(super) fn word(fault: Fault) -> &'static str {
    match fault {
        Fault::Kill => "kill",
        Fault::FastStop => "fast-stop",
        Fault::Freeze => "freeze",
        Fault::PodDelete => "pod-delete",
    }
}
