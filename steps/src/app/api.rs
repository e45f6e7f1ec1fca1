//! The parts of Gitea's API that are asked here.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use workplan_engine::kind::Secret;

use super::miss::Miss;
use super::site::{Ask, Reply, Site};

/// What every repository that a check makes is called, before its number.
pub(super) const PREFIX: &str = "workplan-check-";

/// A site as somebody who is logged in.
#[derive(Clone, Copy)]
pub(super) struct Api<'a> {
    pub(super) site: &'a Site,
    pub(super) user: &'a str,
    pub(super) basic: &'a Secret,
    /// Deadline of each request.
    pub(super) within: Duration,
}

/// What `/api/healthz` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It passes. That says little: it does on a read-only database, too.
    Passes,
    /// It fails; the names of the checks that do, for example `database:ping`.
    Fails(Vec<String>),
    /// It has no such page.
    Unknown(u16),
}

/// Asks for the health.
///
/// # Errors
/// When there is no answer.
pub(super) async fn health(site: &Site, within: Duration) -> Result<Health, Miss> {
    let reply = site.ask(Ask::get("/api/healthz", within)).await?;
    if reply.status == 200 {
        return Ok(Health::Passes);
    }
    let json = reply.json();
    let Some(checks) = json.get("checks").and_then(Value::as_object) else {
        return Ok(Health::Unknown(reply.status));
    };
    let fails = |of: &Value| {
        of.as_array().into_iter().flatten().any(|one| one["status"].as_str() != Some("pass"))
    };
    Ok(Health::Fails(checks.iter().filter(|(_, of)| fails(of)).map(|(n, _)| n.clone()).collect()))
}

/// A repository that a check made, and who did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scratch {
    /// `owner/name`.
    pub(super) full_name: String,
    /// `workplan:<run>:<step>:<attempt>`.
    pub(super) identity: String,
    pub(super) made: Option<Timestamp>,
}

impl Api<'_> {
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        passes: &[u16],
    ) -> Result<Reply, Miss> {
        let path = format!("/api/v1{path}");
        let mut ask = Ask::new(method.clone(), &path, self.within).with_login(self.basic);
        if let Some(body) = body {
            ask = ask.with_json(body);
        }
        let reply = self.site.ask(ask).await?;
        if passes.contains(&reply.status) {
            return Ok(reply);
        }
        Err(match reply.status {
            401 => reply.miss(format!("Gitea does not take the password of `{}`", self.user)),
            status => reply.miss(format!("`{method} {path}` says {status}")),
        })
    }

    /// Who is logged in.
    pub(super) async fn whoami(&self) -> Result<(i64, String), Miss> {
        let user = self.ask(Method::GET, "/user", None, &[200]).await?.json();
        let login = user["login"].as_str().unwrap_or_default();
        if !login.eq_ignore_ascii_case(self.user) {
            return Err(Miss::new(format!("`{}` logged in and became `{login}`", self.user)));
        }
        Ok((user["id"].as_i64().unwrap_or_default(), login.to_owned()))
    }

    /// Gitea's own version.
    pub(super) async fn version(&self) -> Result<String, Miss> {
        let json = self.ask(Method::GET, "/version", None, &[200]).await?.json();
        Ok(json["version"].as_str().unwrap_or("unknown").to_owned())
    }

    /// Makes a private repository that says who made it; its name is what its identity gives.
    pub(super) async fn make(&self, name: &str, identity: &str) -> Result<String, Miss> {
        let body = json!({"name": name, "description": identity, "private": true});
        let made = self.ask(Method::POST, "/user/repos", Some(&body), &[201]).await?.json();
        match made["full_name"].as_str() {
            Some(full) => Ok(full.to_owned()),
            None => Err(Miss::new("the answer to making a repository does not name it")),
        }
    }

    /// What a branch points to; `None` while Gitea has not registered the push. Asked for the
    /// branch before that, some versions answer 500.
    pub(super) async fn head(&self, full_name: &str) -> Result<Option<String>, Miss> {
        let repo = self.ask(Method::GET, &format!("/repos/{full_name}"), None, &[200]).await?;
        if repo.json()["empty"].as_bool() != Some(false) {
            return Ok(None);
        }
        let path = format!("/repos/{full_name}/branches/main");
        let branch = self.ask(Method::GET, &path, None, &[200, 404]).await?;
        Ok(branch.json()["commit"]["id"].as_str().map(str::to_owned))
    }

    /// Removes a repository and makes sure that it is gone. It may be gone already.
    pub(super) async fn remove(&self, full_name: &str) -> Result<(), Miss> {
        let path = format!("/repos/{full_name}");
        self.ask(Method::DELETE, &path, None, &[204, 404]).await?;
        self.ask(Method::GET, &path, None, &[404]).await.map_err(|miss| Miss {
            what: format!("`{full_name}` was removed and is still there: {}", miss.what),
            ..miss
        })?;
        Ok(())
    }

    /// The repositories that checks made for this account and did not remove.
    pub(super) async fn scratches(&self, user_id: i64) -> Result<Vec<Scratch>, Miss> {
        let path = format!("/repos/search?q={PREFIX}&uid={user_id}&exclusive=true&limit=50");
        let found = self.ask(Method::GET, &path, None, &[200]).await?.json();
        let one = |repo: &Value| {
            let text = |key: &str| repo[key].as_str().map(str::to_owned);
            let identity = text("description").filter(|d| d.starts_with("workplan:"))?;
            if !repo["name"].as_str()?.starts_with(PREFIX) {
                return None;
            }
            let full_name = text("full_name")?;
            let made = text("created_at").and_then(|at| at.parse().ok());
            Some(Scratch { full_name, identity, made })
        };
        Ok(found["data"].as_array().into_iter().flatten().filter_map(one).collect())
    }
}
