//! What users have done since the way in was opened: what going back would lose.

use workplan_engine::kind::Look;
use workplan_platform::{AppView, PlatformError, View};

use super::sessions::reader;
use crate::count::count;

/// By Gitea's own tables. Its `action` has a row for each thing that a feed shows, a push among
/// them (`op_type` 5, in `models/activities/action.go`), for each of those who watch; `user_id =
/// act_user_id` leaves one of them.
const COUNT: &str = "select \
    (select count(*) from action where created_unix >= $1 and user_id = act_user_id), \
    (select count(*) from action where created_unix >= $1 and user_id = act_user_id \
        and op_type = 5), \
    (select count(*) from issue where created_unix >= $1), \
    (select count(*) from comment where created_unix >= $1), \
    (select count(*) from \"user\" where created_unix >= $1)";

/// Counts it, in words. `since` is a Unix time in seconds.
///
/// # Errors
/// When it cannot be counted: the database is none of the platform, or no Gitea's.
pub(super) async fn since(
    look: &Look,
    view: &dyn View,
    app: &AppView,
    since: i64,
) -> Result<String, PlatformError> {
    let name = app.config.get("database").and_then(|of| of.get("NAME"));
    let unknown = || PlatformError::failed("its database is none of this platform");
    let name = name.ok_or_else(unknown)?;
    let reader = reader(look, view, app, name).await?.ok_or_else(unknown)?;
    let rows = reader.rows(COUNT, &[&since]).await?;
    let row = rows.first().ok_or_else(unknown)?;
    let named = ["action", "push", "issue", "comment", "user"];
    let counts: Vec<String> =
        named.iter().enumerate().map(|(ix, what)| count(row.get::<_, i64>(ix), what)).collect();
    Ok(format!(
        "{} ({} of them), {}, {}, {}",
        counts[0], counts[1], counts[2], counts[3], counts[4]
    ))
}
