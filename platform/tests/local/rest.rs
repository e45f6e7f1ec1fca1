//! All of a target down, and up again.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::json;
use workplan_platform::{Operate, Traffic, View};

use crate::support::{Ground, LONG, at, deploy, incarnations, spec, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("what_rests_wakes_as_it_was", what_rests_wakes_as_it_was)]
}

async fn what_rests_wakes_as_it_was(ground: Arc<Ground>) {
    let operate = ground.operate("rest");
    let (one, two) = (at("platform", "valkey"), at("default", "cache"));
    let values = json!({"architecture": "standalone", "auth": {"password": "x"}});
    for at in [&one, &two] {
        deploy(&operate, &spec(at, "valkey", values.clone(), &[])).await;
    }
    let workload = operate.workloads(&two).await.unwrap()[0].name.clone();
    operate.scale(&two, &workload, 0, LONG).await.unwrap();
    let before = incarnations(&operate, &one).await;
    let objects = operate.objects(&one).await.unwrap();

    operate.wake().await.unwrap();
    assert_eq!(incarnations(&operate, &one).await, before, "what runs is not touched");

    operate.rest().await.unwrap();
    for at in [&one, &two] {
        assert!(operate.volumes(at).await.unwrap().iter().all(|v| !v.used));
        assert!(!operate.workloads(at).await.unwrap()[0].instances.iter().any(|i| i.ready));
    }
    operate.rest().await.unwrap();

    operate.wake().await.unwrap();
    assert_ne!(incarnations(&operate, &one).await, before);
    assert!(operate.workloads(&one).await.unwrap()[0].is_ready());
    let stopped = &operate.workloads(&two).await.unwrap()[0];
    assert!(stopped.instances.is_empty(), "what was stopped on purpose stays so");
    assert_eq!(operate.objects(&one).await.unwrap(), objects);
    assert_eq!(operate.release(&one).await.unwrap().unwrap().revision, 1);
    assert_eq!(operate.traffic(&one).await.unwrap(), Traffic::None);
    let awake = incarnations(&operate, &one).await;
    operate.wake().await.unwrap();
    assert_eq!(incarnations(&operate, &one).await, awake);
}
