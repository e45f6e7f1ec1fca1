//! One large file by the LFS protocol itself, so that git-lfs is not needed.

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::client::{Body, Gitea, accepted};
use crate::exit;
use crate::failure::Failure;

/// What git keeps in place of a large file.
pub(super) fn pointer(content: &[u8]) -> String {
    format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n",
        digest(content),
        content.len()
    )
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect()
}

/// Uploads it.
pub(super) async fn upload(
    gitea: &Gitea,
    full_name: &str,
    content: &[u8],
    login: &str,
) -> Result<(), Failure> {
    let wanted = json!({
        "operation": "upload",
        "transfers": ["basic"],
        "objects": [{"oid": digest(content), "size": content.len()}],
    });
    let batch = format!("/{full_name}.git/info/lfs/objects/batch");
    let sent = gitea.send(Method::POST, &batch, Body::Lfs(wanted), Some(login), None);
    let (status, bytes) = sent.await?;
    let answer = accepted(&Method::POST, &batch, status, &bytes)?;
    let upload = &answer["objects"][0]["actions"]["upload"];
    let (Some(href), header) = (upload["href"].as_str(), &upload["header"]) else {
        return Err(Failure::new(
            exit::FAILED,
            format!("Gitea takes no large file for {full_name}"),
        ));
    };
    // Gitea names itself as users reach it, which may not be how we do.
    let href = reqwest::Url::parse(href).map_err(|e| {
        Failure::new(exit::FAILED, format!("Gitea gave no address to upload to: {e}"))
    })?;
    let href = href.path();
    let login = header["Authorization"].as_str().unwrap_or(login);
    let body = Body::Bytes(content.to_vec(), "application/octet-stream".to_owned());
    let (status, bytes) = gitea.send(Method::PUT, href, body, Some(login), None).await?;
    if status.is_success() {
        return Ok(());
    }
    accepted(&Method::PUT, href, status, &bytes).map(|_: Value| ())
}
