//! Users, the organisation, and what belongs to them.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Body, Gitea, accepted, basic};
use super::content;
use crate::failure::Failure;
use crate::lab::seed::Draw;
use crate::lab::shape::Shape;

/// Makes the users, the organisation with a team, and what they have.
pub(super) async fn people(gitea: &Gitea, shape: &Shape) -> Result<(), Failure> {
    let users = shape.users();
    for user in &users {
        one(gitea, shape, user).await?;
    }
    for pair in users.windows(2) {
        if let [left, right] = pair {
            let path = format!("/user/following/{right}");
            gitea.call_as(Some(left), Method::PUT, &path, Value::Null).await?;
        }
    }
    organisation(gitea, shape, &users).await
}

async fn one(gitea: &Gitea, shape: &Shape, user: &str) -> Result<(), Failure> {
    let mut draw = Draw::new(shape.seed, &format!("user {user}"));
    let password = draw.password();
    let account = json!({
        "username": user,
        "email": format!("{user}@lab.example"),
        "full_name": format!("{user} Øster-Müller"),
        "password": password,
        "must_change_password": false,
    });
    gitea.call(Method::POST, "/admin/users", account).await?;
    let key = json!({"title": "laptop", "key": content::ssh_key(&mut draw, user)});
    gitea.call_as(Some(user), Method::POST, "/user/keys", key).await?;
    // Tokens are made with a password alone.
    let token = json!({"name": "ci", "scopes": ["read:repository", "write:issue"]});
    let path = format!("/api/v1/users/{user}/tokens");
    let login = basic(user, &password);
    let sent = gitea.send(Method::POST, &path, Body::Json(token), Some(&login), None);
    let (status, bytes) = sent.await?;
    accepted(&Method::POST, &path, status, &bytes).map(|_| ())
}

async fn organisation(gitea: &Gitea, shape: &Shape, users: &[String]) -> Result<(), Failure> {
    let mut draw = Draw::new(shape.seed, "organisation's things");
    let org = shape.organisation();
    let made = json!({
        "username": org,
        "full_name": format!("{org} & Söhne"),
        "description": content::text(&mut draw, 1),
        "visibility": "limited",
    });
    gitea.call(Method::POST, "/orgs", made).await?;
    let team = json!({
        "name": "builders",
        "permission": "write",
        "includes_all_repositories": true,
        "units": ["repo.code", "repo.issues", "repo.pulls", "repo.releases", "repo.wiki"],
    });
    let team = gitea.call(Method::POST, &format!("/orgs/{org}/teams"), team).await?;
    for user in users {
        let path = format!("/teams/{}/members/{user}", team["id"]);
        gitea.call(Method::PUT, &path, Value::Null).await?;
    }
    let label = json!({"name": "org/dringend", "color": "#cc0000"});
    gitea.call(Method::POST, &format!("/orgs/{org}/labels"), label).await?;
    // Encrypted with SECRET_KEY: who moves the database and loses the key, loses this.
    let secret = json!({"data": draw.plain(40)});
    gitea.call(Method::PUT, &format!("/orgs/{org}/actions/secrets/DEPLOY_KEY"), secret).await?;
    let variable = json!({"value": "eu-1"});
    gitea.call(Method::POST, &format!("/orgs/{org}/actions/variables/REGION"), variable).await?;
    if let Some(user) = users.first() {
        let application = json!({
            "name": "desktop",
            "redirect_uris": ["http://127.0.0.1/callback"],
            "confidential_client": true,
        });
        gitea.call_as(Some(user), Method::POST, "/user/applications/oauth2", application).await?;
    }
    Ok(())
}
