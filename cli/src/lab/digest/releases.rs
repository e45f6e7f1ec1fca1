//! Releases: what they were told, what they are made of, what runs of them.

use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use workplan_platform::{Endpoint, Object, Release, View};

use super::{Secrets, no};
use crate::failure::Failure;

/// How long a port may take to accept.
const ACCEPT: Duration = Duration::from_secs(2);

/// A release by its content.
pub(super) async fn release(
    view: &dyn View,
    release: &Release,
    secrets: &Secrets,
) -> Result<Value, Failure> {
    let at = &release.at;
    let values = view.release_values(at).await.map_err(no)?;
    let objects = view.objects(at).await.map_err(no)?;
    let mut made = Map::new();
    for object in &objects {
        made.insert(format!("{}/{}", object.kind, object.name), object.body.clone());
    }
    let mut runs = Map::new();
    for workload in view.workloads(at).await.map_err(no)? {
        let instances: Vec<Value> =
            workload.instances.iter().map(|i| json!({"name": i.name, "ready": i.ready})).collect();
        runs.insert(workload.name, json!({"wanted": workload.wanted, "instances": instances}));
    }
    let traffic = view.traffic(at).await.map_err(no)?;
    Ok(json!({
        "chart": release.chart,
        "version": release.chart_version,
        "status": release.status,
        "values": values.map(|values| secrets.hide(&values)),
        "objects": made,
        "runs": runs,
        "traffic": traffic,
        "listens": listens(view, &at.namespace, &objects).await?,
    }))
}

/// Which service listens where. Which start of it does not count.
async fn listens(view: &dyn View, namespace: &str, objects: &[Object]) -> Result<Value, Failure> {
    let mut found = Map::new();
    for service in objects.iter().filter(|o| o.kind == "Service") {
        let ports = service.body.get("ports").and_then(Value::as_array);
        for port in ports.into_iter().flatten() {
            let Some(number) = port.get("port").and_then(Value::as_u64) else { continue };
            let Ok(number) = u16::try_from(number) else { continue };
            let endpoint = Endpoint::Service {
                namespace: namespace.to_owned(),
                service: service.name.clone(),
                port: number,
            };
            let stands = match view.reach(&endpoint).await {
                Err(_) => "nowhere".to_owned(),
                Ok(way) => {
                    let asked = tokio::time::timeout(ACCEPT, TcpStream::connect(way.address)).await;
                    let heard = matches!(asked, Ok(Ok(_)));
                    format!("{} {}", way.address, if heard { "listens" } else { "is silent" })
                }
            };
            found.insert(format!("{}:{number}", service.name), json!(stands));
        }
    }
    Ok(Value::Object(found))
}
