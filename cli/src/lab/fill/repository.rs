//! One repository with all that belongs to it.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Body, Gitea, accepted, basic};
use super::{content, history, issues, lfs, pulls, push};
use crate::failure::Failure;
use crate::lab::seed::Draw;
use crate::lab::shape::Shape;

/// A repository while it is filled.
pub(super) struct Repository<'s> {
    pub(super) owner: &'s str,
    pub(super) name: &'s str,
    /// What is drawn for it.
    pub(super) draw: Draw,
    users: &'s [String],
}

impl Repository<'_> {
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Its place in the API.
    pub(super) fn path(&self) -> String {
        format!("/repos/{}", self.full_name())
    }

    /// One of those who may write to it.
    pub(super) fn somebody(&mut self) -> String {
        self.draw.of(&self.users[..self.users.len().min(3)]).cloned().unwrap_or_default()
    }
}

/// Makes and fills it.
pub(super) async fn repository(
    gitea: &Gitea,
    shape: &Shape,
    owner: &str,
    name: &str,
    token: &str,
) -> Result<(), Failure> {
    let users = shape.users();
    let draw = Draw::new(shape.seed, &format!("repository {owner}/{name}"));
    let mut repo = Repository { owner, name, draw, users: &users };
    let base = repo.path();
    let private = repo.draw.below(4) == 0;
    let made = json!({
        "name": name,
        "description": format!("{name}: {}", repo.draw.word(content::WORDS)),
        "private": private,
        "default_branch": "main",
    });
    let create = if owner == shape.organisation() {
        format!("/orgs/{owner}/repos")
    } else {
        format!("/admin/users/{owner}/repos")
    };
    gitea.call(Method::POST, &create, made).await?;
    for user in users.iter().take(3).filter(|u| *u != owner) {
        let path = format!("{base}/collaborators/{user}");
        gitea.call(Method::PUT, &path, json!({"permission": "write"})).await?;
    }

    let login = basic(&shape.admin, token);
    let large = repo.draw.bytes(64 * 1024);
    lfs::upload(gitea, &repo.full_name(), &large, &login).await?;
    let pointer = lfs::pointer(&large);
    let history = history::history(name, &users, &mut repo.draw, Some(&pointer));
    push::push(gitea, &repo.full_name(), &history, &login).await?;

    // Whether they can be merged is found out in the background, meanwhile the rest is done.
    let numbers = pulls::open(gitea, &mut repo, &history.branches).await?;
    let mut labels = Vec::new();
    for (label, color) in [("bug", "#ee0701"), ("kind/größer", "#84b6eb")] {
        let made = json!({"name": label, "color": color});
        let label = gitea.call(Method::POST, &format!("{base}/labels"), made).await?;
        labels.push(label["id"].clone());
    }
    let made = json!({"title": "1.0", "due_on": "2031-01-01T00:00:00Z"});
    let milestone = gitea.call(Method::POST, &format!("{base}/milestones"), made).await?;
    issues::issues(gitea, &mut repo, &labels, &milestone["id"]).await?;
    around(gitea, &mut repo, &login).await?;
    pulls::end(gitea, &mut repo, &history.branches, &numbers).await?;
    releases(gitea, &mut repo, &history.tags).await
}

/// What hangs on a repository besides its code and its talk.
async fn around(gitea: &Gitea, repo: &mut Repository<'_>, login: &str) -> Result<(), Failure> {
    let base = repo.path();
    let topics = json!({"topics": ["lab", repo.draw.word(content::WORDS)]});
    let path = format!("{base}/topics");
    // Two repositories that name a new topic at once: Gitea makes it for one and fails for the other.
    if gitea.call(Method::PUT, &path, topics.clone()).await.is_err() {
        gitea.call(Method::PUT, &path, topics).await?;
    }
    let fan = repo.somebody();
    let star = format!("/user/starred/{}", repo.full_name());
    gitea.call_as(Some(&fan), Method::PUT, &star, Value::Null).await?;
    let key = content::ssh_key(&mut repo.draw, "deploy");
    let key = json!({"title": "deploy", "key": key, "read_only": true});
    gitea.call(Method::POST, &format!("{base}/keys"), key).await?;
    let rule = json!({"rule_name": "release/*", "enable_push": true, "required_approvals": 1});
    gitea.call(Method::POST, &format!("{base}/branch_protections"), rule).await?;
    let page = {
        use base64::Engine as _;
        let text = content::text(&mut repo.draw, 3);
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        json!({"title": "Home", "content_base64": encoded})
    };
    gitea.call(Method::POST, &format!("{base}/wiki/new"), page).await?;
    let path = format!("/api/packages/{}/generic/{}/0.8/{}.bin", repo.owner, repo.name, repo.name);
    let content = Body::Bytes(repo.draw.bytes(8 * 1024), "application/octet-stream".to_owned());
    let (status, bytes) = gitea.send(Method::PUT, &path, content, Some(login), None).await?;
    accepted(&Method::PUT, &path, status, &bytes).map(|_| ())
}

/// Releases with an asset, and a webhook that hears of the last one: to a port where nobody is.
async fn releases(
    gitea: &Gitea,
    repo: &mut Repository<'_>,
    tags: &[String],
) -> Result<(), Failure> {
    let base = repo.path();
    for (n, tag) in tags.iter().enumerate() {
        if n + 1 == tags.len() {
            let hook = json!({
                "type": "gitea",
                "active": true,
                "events": ["push", "release"],
                "config": {
                    "url": "http://127.0.0.1:9/hook",
                    "content_type": "json",
                    "secret": repo.draw.plain(12),
                },
            });
            gitea.call(Method::POST, &format!("{base}/hooks"), hook).await?;
        }
        let made = json!({
            "tag_name": tag,
            "name": format!("Version {tag}"),
            "body": content::text(&mut repo.draw, 2),
        });
        let release = gitea.call(Method::POST, &format!("{base}/releases"), made).await?;
        let path = format!("{base}/releases/{}/assets", release["id"]);
        let name = format!("{}-{tag}.bin", repo.name);
        gitea.upload(&path, &name, &repo.draw.bytes(8 * 1024)).await?;
    }
    Ok(())
}
