//! Which of Gitea's queues are not empty.
//!
//! Its API does not tell, and `gitea manager flush-queues` says only that the time was over. A page of
//! its site administration has them all.

use std::fmt;
use std::time::Duration;

use reqwest::header::COOKIE;
use workplan_engine::kind::Look;
use workplan_platform::{AppView, View};

use super::login;
use super::miss::Miss;
use super::site::{Account, Ask, Site};
use crate::count::count;

/// Deadline of one request.
const WITHIN: Duration = Duration::from_secs(5);
/// The page.
const PAGE: &str = "/-/admin/monitor/queue";
/// Columns of the page: the name, the type, what is in it, workers, workers at work, items.
const COLUMNS: usize = 6;

/// A queue that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Busy {
    /// As Gitea calls it: `webhook_sender`.
    name: String,
    /// Workers that are at something.
    workers: u64,
    /// What waits; `None` where this type of queue cannot tell.
    items: Option<u64>,
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = match self.items {
            Some(items) => format!("{} waiting", count(items, "item")),
            None => "nobody knows how many items waiting".to_owned(),
        };
        write!(f, "`{}` ({items}, {} at work)", self.name, count(self.workers, "worker"))
    }
}

/// The queues in which something waits or is under way.
///
/// # Errors
/// When nobody can log in, or the page is another one.
pub(super) async fn busy(look: &Look, view: &dyn View, app: &AppView) -> Result<Vec<Busy>, Miss> {
    let account = Account::admin(look, view, app).await?;
    let site = Site::at(view, &app.inside).await.map_err(|e| Miss::new(e.to_string()))?;
    let cookie = login::session(&site, &account, WITHIN).await?;
    let page = site.ask(Ask::get(PAGE, WITHIN).with_header(COOKIE, &cookie)).await?;
    if page.status != 200 {
        return Err(page.miss(format!("`{PAGE}` says {}", page.status)));
    }
    rows(&page.text()).ok_or_else(|| Miss::new(format!("`{PAGE}` has no table of queues")))
}

/// Those rows of the page's table whose queue is not empty; `None` where there is no such table.
fn rows(page: &str) -> Option<Vec<Busy>> {
    let (_, rest) = page.split_once("<tbody>")?;
    let (body, _) = rest.split_once("</tbody>")?;
    let cells = |row: &str| -> Vec<String> {
        let cells = row.split("<td>").skip(1).map(|cell| cell.split("</td>").next());
        cells.flatten().map(|cell| cell.trim().to_owned()).collect()
    };
    let rows: Vec<Vec<String>> = body.split("<tr>").skip(1).map(cells).collect();
    if rows.is_empty() || rows.iter().any(|row| row.len() < COLUMNS) {
        return None;
    }
    let busy = rows.into_iter().map(|row| Busy {
        name: row[0].clone(),
        workers: row[4].parse().unwrap_or_default(),
        items: row[5].parse().ok(),
    });
    Some(busy.filter(|queue| queue.workers > 0 || queue.items != Some(0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_queues_that_are_not_empty_are_named() {
        let row = |name: &str, workers: &str, items: &str| {
            format!(
                "<tr>\n\t<td>{name}</td>\n<td>level</td>\n<td>int64</td>\n<td>1</td>\n\
                 <td>{workers}</td>\n<td>{items}</td>\n<td><a href=\"/x\">Review</a></td>\n</tr>\n"
            )
        };
        let page = format!(
            "<table><thead><tr><th>Name</th></tr></thead><tbody>{}{}{}{}</tbody></table>",
            row("mail", "0", "0"),
            row("webhook_sender", "1", "2"),
            row("pr_patch_checker", "2", "0"),
            row("dummy", "0", "-"),
        );
        let found: Vec<String> = rows(&page).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "`webhook_sender` (2 items waiting, 1 worker at work)",
                "`pr_patch_checker` (0 items waiting, 2 workers at work)",
                "`dummy` (nobody knows how many items waiting, 0 workers at work)",
            ]
        );
        assert_eq!(rows("<html>something else</html>"), None);
        assert_eq!(rows("<tbody></tbody>"), None);
    }
}
