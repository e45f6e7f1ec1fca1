//! Pull requests: one is approved and merged, one has a review that wants changes.
//!
//! Opening one is the slowest thing that filling does, about a second: Gitea calls git many times.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Body, Gitea, accepted};
use super::content;
use super::repository::Repository;
use crate::exit;
use crate::failure::Failure;

/// How long until Gitea must have found out in the background whether it can be merged.
const MERGEABLE: Duration = Duration::from_secs(60);

/// Opens one for each branch; gives their numbers.
pub(super) async fn open(
    gitea: &Gitea,
    repository: &mut Repository<'_>,
    branches: &[String],
) -> Result<Vec<Value>, Failure> {
    let mut numbers = Vec::new();
    for branch in branches {
        let author = repository.somebody();
        let wanted = json!({
            "head": branch,
            "base": "main",
            "title": format!("Try {branch}"),
            "body": content::text(&mut repository.draw, 1),
        });
        let path = format!("{}/pulls", repository.path());
        let pull = gitea.call_as(Some(&author), Method::POST, &path, wanted).await?;
        numbers.push(pull["number"].clone());
    }
    Ok(numbers)
}

/// Brings them to their ends.
pub(super) async fn end(
    gitea: &Gitea,
    repository: &mut Repository<'_>,
    branches: &[String],
    numbers: &[Value],
) -> Result<(), Failure> {
    let base = repository.path();
    let ([merged, unsure], Some(branch)) = (numbers, branches.get(1)) else {
        return Ok(());
    };
    let path = |number: &Value, rest: &str| format!("{base}/pulls/{number}{rest}");
    let good = json!({"event": "APPROVED", "body": "Good."});
    gitea.call(Method::POST, &path(merged, "/reviews"), good).await?;
    let not_yet = json!({
        "event": "REQUEST_CHANGES",
        "body": "Nearly.",
        "comments": [{
            "path": format!("notes/{}.md", branch.replace('/', "-")),
            "body": content::text(&mut repository.draw, 1),
            "new_position": 1,
        }],
    });
    gitea.call(Method::POST, &path(unsure, "/reviews"), not_yet).await?;
    let at = path(merged, "/merge");
    let merge = async {
        loop {
            let how = Body::Json(json!({"Do": "merge"}));
            let api = format!("/api/v1{at}");
            let (status, bytes) = gitea.send(Method::POST, &api, how, None, None).await?;
            // Not known yet, or Gitea holds the pull request's lock itself.
            if !matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::CONFLICT) {
                return accepted(&Method::POST, &at, status, &bytes).map(|_| ());
            }
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    };
    tokio::time::timeout(MERGEABLE, merge).await.unwrap_or_else(|_| {
        Err(Failure::new(
            exit::FAILED,
            format!("a pull request of {} could not be merged in time", repository.full_name()),
        ))
    })
}
