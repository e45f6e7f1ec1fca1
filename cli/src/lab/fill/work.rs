//! The whole of it.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::client::{Body, Gitea, Site, accepted};
use super::{people, repository};
use crate::exit;
use crate::failure::Failure;
use crate::lab::shape::Shape;

/// Repositories that are filled at a time. Gitea and PostgreSQL do most of the work; more only wait
/// for them.
const AT_A_TIME: usize = 3;
/// The token that all is done with; it is gone afterwards.
const TOKEN: &str = "lab-filling";

/// What was put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filled {
    /// Users, the administrator not counted.
    pub(crate) users: usize,
    /// Repositories.
    pub(crate) repositories: usize,
    /// Requests that it took.
    pub(crate) requests: u64,
}

/// Fills a fresh Gitea. `told` hears how many repositories are done.
///
/// # Errors
/// What Gitea did not take. What is half filled is of no use.
pub(crate) async fn fill(
    site: &Site,
    shape: &Shape,
    mut told: impl FnMut(usize, usize),
) -> Result<Filled, Failure> {
    let by_password = Gitea::by_password(site)?;
    let tokens = format!("/api/v1/users/{}/tokens", site.admin);
    let wanted = Body::Json(json!({"name": TOKEN, "scopes": ["all"]}));
    let (status, bytes) = by_password.send(Method::POST, &tokens, wanted, None, None).await?;
    let token = accepted(&Method::POST, &tokens, status, &bytes)?;
    let token = token["sha1"].as_str().unwrap_or_default().to_owned();
    let gitea = Arc::new(by_password.with_token(&token));

    people::people(&gitea, shape).await?;
    let all = shape.repositories();
    let mut waiting = all.clone().into_iter();
    let mut under_way = JoinSet::new();
    let (mut done, shape_of_all) = (0, Arc::new(shape.clone()));
    loop {
        while under_way.len() < AT_A_TIME
            && let Some((owner, name)) = waiting.next()
        {
            let (gitea, shape, token) =
                (Arc::clone(&gitea), Arc::clone(&shape_of_all), token.clone());
            under_way.spawn(async move {
                repository::repository(&gitea, &shape, &owner, &name, &token).await
            });
        }
        match under_way.join_next().await {
            None => break,
            Some(Ok(result)) => result?,
            Some(Err(e)) => {
                return Err(Failure::new(exit::INTERNAL, format!("filling was cut off: {e}")));
            }
        }
        done += 1;
        told(done, all.len());
    }
    let mine = format!("{tokens}/{TOKEN}");
    let (status, bytes) = by_password.send(Method::DELETE, &mine, Body::None, None, None).await?;
    accepted(&Method::DELETE, &mine, status, &bytes).map(|_: Value| ())?;
    Ok(Filled {
        users: shape.users().len(),
        repositories: all.len(),
        requests: gitea.requests() + by_password.requests(),
    })
}
