//! Logging in as people do: by the form.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{COOKIE, HeaderName, LOCATION, ORIGIN, SET_COOKIE};

use super::miss::Miss;
use super::site::{Account, Ask, Reply, Site};

/// Cookies by name.
#[derive(Default)]
struct Jar(BTreeMap<String, String>);

impl Jar {
    fn take(&mut self, reply: &Reply) {
        for header in reply.headers.get_all(SET_COOKIE) {
            let Ok(text) = header.to_str() else { continue };
            let Some((name, value)) = text.split(';').next().and_then(|c| c.split_once('=')) else {
                continue;
            };
            if value.is_empty() {
                self.0.remove(name.trim());
            } else {
                self.0.insert(name.trim().to_owned(), value.to_owned());
            }
        }
    }

    fn header(&self) -> String {
        self.0.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("; ")
    }
}

/// Logs in by the form and opens a page that only the account itself can see. The form answers a
/// wrong password with 200 too, so nothing less tells.
pub(super) async fn by_form(site: &Site, account: &Account, within: Duration) -> Result<(), Miss> {
    session(site, account, within).await.map(drop)
}

/// The same; the header `Cookie` of who is logged in now.
pub(super) async fn session(
    site: &Site,
    account: &Account,
    within: Duration,
) -> Result<String, Miss> {
    let mut jar = Jar::default();
    let page = site.ask(Ask::get("/user/login", within)).await?;
    if page.status != 200 {
        return Err(page.miss(format!("the login page says {}", page.status)));
    }
    jar.take(&page);
    let password = String::from_utf8(account.password.reveal().to_vec())
        .map_err(|_| Miss::new("the password is not text, so nobody can type it"))?;
    // Gitea before 1.26 wants a token that it put into the page and into a cookie.
    let token = token(&page.text()).or_else(|| jar.0.get("_csrf").map(|t| unquote(t)));
    let mut form = vec![("user_name", account.user.as_str()), ("password", &password)];
    if let Some(token) = &token {
        form.push(("_csrf", token));
    }
    let ask = Ask::new(Method::POST, "/user/login", within)
        .with_form(&form)
        // Later ones look at where the form came from.
        .with_header(ORIGIN, &site.origin())
        .with_header(HeaderName::from_static("sec-fetch-site"), "same-origin")
        .with_header(COOKIE, &jar.header());
    let reply = site.ask(ask).await?;
    jar.take(&reply);
    let sent = sent_to(&reply);
    if sent.ends_with("/user/two_factor") || sent.ends_with("/user/webauthn") {
        return Err(Miss::new(format!(
            "`{}` needs a second factor, which nobody is here to give",
            account.user
        )));
    }
    if reply.status >= 400 {
        return Err(reply.miss(format!("the login form says {}", reply.status)));
    }
    let settings =
        site.ask(Ask::get("/user/settings", within).with_header(COOKIE, &jar.header())).await?;
    let sent = sent_to(&settings);
    if sent.ends_with("/change_password") {
        return Err(Miss::new(format!("`{}` has to choose a new password first", account.user)));
    }
    if settings.status == 200 && settings.text().contains(&account.user) {
        return Ok(jar.header());
    }
    Err(if settings.status < 400 {
        Miss::new(format!("Gitea does not take the password of `{}`", account.user))
    } else {
        settings.miss(format!("a page behind the login says {}", settings.status))
    })
}

fn sent_to(reply: &Reply) -> &str {
    let to = reply.headers.get(LOCATION).and_then(|l| l.to_str().ok()).unwrap_or_default();
    to.split('?').next().unwrap_or_default()
}

/// The token in a page: `<input … name="_csrf" value="…">`.
fn token(page: &str) -> Option<String> {
    let (_, rest) = page.split_once("name=\"_csrf\"")?;
    let (_, rest) = rest.split('>').next()?.split_once("value=\"")?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("&#43;", "+").replace("&amp;", "&"))
}

/// Takes percent signs out of a cookie's value.
fn unquote(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_in_a_page_of_an_older_version() {
        let page = r#"<form><input type="hidden" name="_csrf" value="a&#43;b:c"><input name="x">"#;
        assert_eq!(token(page).as_deref(), Some("a+b:c"));
        assert_eq!(token(r#"<input name="_csrf"><input value="x">"#), None);
        assert_eq!(unquote("a%2Bb%3d%zz%"), "a+b=%zz%");
    }
}
