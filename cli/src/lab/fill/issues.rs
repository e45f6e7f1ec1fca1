//! Issues with labels, comments, reactions, an attachment, a dependency.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::Gitea;
use super::content;
use super::repository::Repository;
use crate::failure::Failure;

const ISSUES: usize = 4;
const REACTIONS: &[&str] = &["+1", "-1", "laugh", "hooray", "heart", "rocket", "eyes"];

/// Opens issues and talks in them.
pub(super) async fn issues(
    gitea: &Gitea,
    repository: &mut Repository<'_>,
    labels: &[Value],
    milestone: &Value,
) -> Result<(), Failure> {
    let base = repository.path();
    let mut numbers = Vec::new();
    for _ in 0..ISSUES {
        let author = repository.somebody();
        let draw = &mut repository.draw;
        let opened = json!({
            "title": content::title(draw),
            "body": content::text(draw, 2),
            "labels": draw.of(labels).into_iter().collect::<Vec<_>>(),
            "milestone": milestone,
        });
        let path = format!("{base}/issues");
        let issue = gitea.call_as(Some(&author), Method::POST, &path, opened).await?;
        let path = format!("{base}/issues/{}", issue["number"]);
        for _ in 0..2 {
            let speaker = repository.somebody();
            let body = content::text(&mut repository.draw, 1);
            let said = json!({"body": format!("@{author} {body}")});
            let at = format!("{path}/comments");
            gitea.call_as(Some(&speaker), Method::POST, &at, said).await?;
        }
        let reaction = json!({"content": repository.draw.word(REACTIONS)});
        let at = format!("{path}/reactions");
        gitea.call_as(Some(&author), Method::POST, &at, reaction).await?;
        numbers.push(issue["number"].clone());
    }
    let (Some(first), Some(second), Some(last)) = (numbers.first(), numbers.get(1), numbers.last())
    else {
        return Ok(());
    };
    let trace = repository.draw.bytes(4096);
    gitea.upload(&format!("{base}/issues/{first}/assets"), "trace.log", &trace).await?;
    let on = json!({"owner": repository.owner, "repo": repository.name, "index": first});
    let path = format!("{base}/issues/{second}/dependencies");
    gitea.call(Method::POST, &path, on).await?;
    let time = json!({"time": 600 + repository.draw.below(6000)});
    gitea.call(Method::POST, &format!("{base}/issues/{first}/times"), time).await?;
    let closed = json!({"state": "closed"});
    gitea.call(Method::PATCH, &format!("{base}/issues/{last}"), closed).await?;
    Ok(())
}
