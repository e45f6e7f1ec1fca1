//! Parameters that several kinds of this family have.

use workplan_engine::kind::{ParamProblem, With};
use workplan_platform::Database;

use super::names;

/// Sessions on each side where the plan does not say.
const JOBS: usize = 2;
/// The most sessions on each side.
const JOBS_MAX: i64 = 64;

/// Reads how many sessions work at the same time, `jobs`.
pub(super) fn jobs(with: &With, problems: &mut Vec<ParamProblem>) -> usize {
    let Some(jobs) = with.int("jobs") else { return JOBS };
    match usize::try_from(jobs) {
        Ok(count) if (1..=JOBS_MAX).contains(&jobs) => count,
        _ => {
            let what = format!("`jobs` is a number from 1 to {JOBS_MAX}");
            problems.push(ParamProblem::new("jobs", what));
            JOBS
        }
    }
}

/// Reads a name in SQL that may be left out.
pub(super) fn name(with: &With, key: &str, problems: &mut Vec<ParamProblem>) -> Option<String> {
    let name = with.str(key).map(str::to_owned);
    if let Some(problem) = name.as_deref().and_then(names::problem) {
        problems.push(ParamProblem::new(key, format!("`{key}`: {problem}")));
    }
    name
}

/// Of a server alone it is not known which of its databases is meant.
pub(super) fn must_name_one(
    key: &str,
    side: Option<&Database>,
    database: Option<&str>,
    problems: &mut Vec<ParamProblem>,
) {
    if side.is_some_and(|side| side.database.is_none()) && database.is_none() {
        problems.push(
            ParamProblem::new(key, format!("`{key}` names a server and no database of it"))
                .with_help("give `database`, or name it in the URL"),
        );
    }
}
