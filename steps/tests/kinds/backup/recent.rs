//! Whether there is a verified backup that is young enough.

use serde_json::json;
use std::fs;

use workplan_engine::kind::{Past, Seen};

use super::lab::Lab;
use crate::support::{build, step};

#[tokio::test]
async fn only_a_verified_and_whole_backup_counts() {
    let lab = Lab::new();
    let recent = step("backup.recent", json!({"within": "1h"}));
    let why = async || recent.apply(&lab.hands()).await.unwrap_err();
    assert!(why().await.said[0].contains("none at all"));
    let first = lab.small().await;
    assert!(why().await.said[0].contains(&format!("{first} was not verified")));
    lab.verify(json!({})).await.unwrap();
    let applied = recent.apply(&lab.hands()).await.unwrap();
    assert_eq!(applied.outputs["backup"], first);

    // A newer one that was not verified changes nothing.
    let second = lab.small().await;
    assert_eq!(recent.apply(&lab.hands()).await.unwrap().outputs["backup"], first);
    // The mark of one is not the mark of another.
    let mark = "verified.json";
    fs::copy(lab.folder(&first).join(mark), lab.folder(&second).join(mark)).unwrap();
    fs::remove_file(lab.folder(&first).join("file-1-plain.conf.age")).unwrap();
    let said = why().await.said;
    assert!(said[0].contains(&format!("{second} was not verified")), "{said:?}");
    assert!(said[1].contains("is not whole any more"), "{said:?}");
}

#[tokio::test]
async fn a_mark_that_no_key_made_does_not_count() {
    let lab = Lab::new();
    let backup = lab.small().await;
    lab.verify(json!({})).await.unwrap();
    let path = lab.folder(&backup).join("verified.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"rows\": 0", "\"rows\": 1")).unwrap();
    let recent = step("backup.recent", json!({"within": "1h"}));
    assert!(recent.apply(&lab.hands()).await.unwrap_err().said[0].contains("was not verified"));
}

#[tokio::test]
async fn age_counts_from_the_beginning_and_a_dry_run_says_why_not() {
    let lab = Lab::new();
    lab.small().await;
    lab.verify(json!({})).await.unwrap();
    let short = step("backup.recent", json!({"within": "1ms"}));
    let error = short.apply(&lab.hands()).await.unwrap_err();
    assert!(error.what.contains("younger than 1ms"), "{error:?}");
    assert!(error.said[0].contains("was verified and is"), "{error:?}");
    let mut look = lab.world.look(Past::Never);
    look.dry_run = true;
    let seen = short.observe(&look).await.seen;
    assert!(matches!(&seen, Seen::Unknown(why) if why.contains("younger than 1ms")), "{seen:?}");
    let long = step("backup.recent", json!({"within": "1h"}));
    assert!(long.observe(&look).await.is_done());
    assert_eq!(long.observe(&lab.world.look(Past::Never)).await.seen, Seen::Absent);
}

#[test]
fn what_cannot_be_is_told_before_anything_runs() {
    let Err(problems) = build("backup.recent", json!({"within": "0s", "layer": "../x"})) else {
        panic!("it was built");
    };
    let keys: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(keys, ["layer", "within"]);
    let with = json!({"keep": {"days": 3}, "databases": [{"hots": "x"}]});
    let Err(problems) = build("backup.create", with) else { panic!("it was built") };
    assert_eq!(problems.len(), 2);
    let Err(problems) = build("backup.verify", json!({"backup": "yesterday"})) else {
        panic!("it was built");
    };
    assert!(problems[0].message.contains("`yesterday` is no backup"));
}
