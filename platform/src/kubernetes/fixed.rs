//! Fields that the API server does not change in place. Helm finds out in the middle of an upgrade,
//! with some objects changed already.

use serde_json::Value;

use super::manifest::{Wanted, without_nothing};
use super::shape::in_shape_of;
use super::view::KubernetesView;
use crate::{PlatformError, Refused};

/// What of a StatefulSet's `spec` may change (Kubernetes 1.34, `ValidateStatefulSetUpdate`).
const STATEFUL_SET: &[&str] = &[
    "minReadySeconds",
    "ordinals",
    "persistentVolumeClaimRetentionPolicy",
    "replicas",
    "revisionHistoryLimit",
    "template",
    "updateStrategy",
];
/// What of a PersistentVolumeClaim's may: more space, where its class allows it.
const VOLUME_CLAIM: &[&str] = &["resources", "volumeAttributesClassName"];

/// What an object says and may not say otherwise later, as JSON pointers.
fn fixed(wanted: &Wanted) -> Vec<String> {
    let all_but = |free: &[&str]| {
        let spec = wanted.body.get("spec").and_then(Value::as_object);
        let keys = spec.into_iter().flat_map(|spec| spec.keys());
        let fixed = keys.filter(|key| !free.contains(&key.as_str()));
        fixed.map(|key| format!("/spec/{key}")).collect()
    };
    let these = |pointers: &[&str]| pointers.iter().map(|p| (*p).to_owned()).collect();
    match wanted.kind.as_str() {
        "StatefulSet" => all_but(STATEFUL_SET),
        "PersistentVolumeClaim" => all_but(VOLUME_CLAIM),
        "Deployment" | "DaemonSet" | "ReplicaSet" => these(&["/spec/selector"]),
        "Job" => these(&["/spec/selector", "/spec/template"]),
        "Service" if wanted.body.pointer("/spec/clusterIP").is_some() => {
            these(&["/spec/clusterIP"])
        }
        "RoleBinding" | "ClusterRoleBinding" => these(&["/roleRef"]),
        "ConfigMap" | "Secret" if wanted.body.get("immutable") == Some(&Value::Bool(true)) => {
            these(&["/data"])
        }
        _ => Vec::new(),
    }
}

/// The fixed fields in which `live` differs from `wanted`, with dots.
fn differing(wanted: &Wanted, live: &Value) -> Vec<String> {
    let differs = |pointer: &String| {
        let (Some(wanted), Some(live)) = (wanted.body.pointer(pointer), live.pointer(pointer))
        else {
            // Only one of them says it: the server fills in what is left out.
            return false;
        };
        without_nothing(wanted.clone()) != without_nothing(in_shape_of(wanted, live))
    };
    let fields = fixed(wanted).into_iter().filter(differs);
    fields.map(|pointer| pointer[1..].replace('/', ".")).collect()
}

/// How such an object becomes what is wanted all the same.
fn way(wanted: &Wanted) -> String {
    let place = wanted.namespace.as_ref().map_or_else(String::new, |n| format!(" -n {n}"));
    let kind = wanted.kind.to_lowercase();
    match kind.as_str() {
        "statefulset" => format!(
            "`kubectl delete statefulset {}{place} --cascade=orphan` first: its pods and volumes stay, and \
             the deploy takes them over",
            wanted.name
        ),
        "persistentvolumeclaim" => "leave it as it is: its data would go with it".to_owned(),
        _ => format!("`kubectl delete {kind} {}{place}` first, or leave it as it is", wanted.name),
    }
}

impl KubernetesView {
    /// What the API server would refuse to change of these.
    ///
    /// # Errors
    /// When what is there cannot be read.
    pub(super) async fn refused(&self, all: &[Wanted]) -> Result<Vec<Refused>, PlatformError> {
        let all: Vec<&Wanted> = all.iter().filter(|w| !fixed(w).is_empty()).collect();
        let live = futures_util::future::join_all(all.iter().map(|wanted| self.live(wanted))).await;
        let mut found = Vec::new();
        for (wanted, live) in all.into_iter().zip(live) {
            let Some(live) = live? else { continue };
            let fields = differing(wanted, &live);
            if !fields.is_empty() {
                let object = format!("{}/{}", wanted.kind, wanted.name);
                found.push(Refused { object, fields, way: way(wanted) });
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::manifest::objects;

    fn one(text: &str) -> Wanted {
        objects("r", text, "ns").unwrap().remove(0)
    }

    const SET: &str = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec:\n  \
        replicas: 3\n  serviceName: db\n  selector: {matchLabels: {a: b}}\n  template: {x: 1}\n  \
        volumeClaimTemplates:\n    - metadata: {name: data}\n      spec: {accessModes: [ReadWriteOnce], \
        resources: {requests: {storage: SIZE}}}\n";

    #[test]
    fn the_claims_of_a_stateful_set_stay() {
        let live = one(&SET.replace("SIZE", "1Gi").replace("replicas: 3", "replicas: 1")).body;
        assert_eq!(differing(&one(&SET.replace("SIZE", "1Gi")), &live), [""; 0]);
        assert_eq!(differing(&one(&SET.replace("SIZE", "1024Mi")), &live), [""; 0]);
        let larger = one(&SET.replace("SIZE", "2Gi"));
        assert_eq!(differing(&larger, &live), ["spec.volumeClaimTemplates"]);
        assert!(way(&larger).starts_with("`kubectl delete statefulset db -n ns --cascade=orphan`"));
    }

    #[test]
    fn what_the_server_adds_is_no_difference() {
        let mut live = one(&SET.replace("SIZE", "1Gi")).body;
        live["spec"]["podManagementPolicy"] = "OrderedReady".into();
        live["spec"]["volumeClaimTemplates"][0]["status"] = serde_json::json!({"phase": "Pending"});
        assert_eq!(differing(&one(&SET.replace("SIZE", "1Gi")), &live), [""; 0]);
    }

    #[test]
    fn selectors_and_sealed_secrets_stay() {
        let set = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: p}\nspec: \
                   {replicas: 1, selector: {matchLabels: {a: WHO}}}\n";
        let live = one(&set.replace("WHO", "b")).body;
        assert_eq!(differing(&one(&set.replace("WHO", "c")), &live), ["spec.selector"]);
        let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nimmutable: IS\nstringData: {a: WHAT}\n";
        let of = |is: &str, what: &str| one(&secret.replace("IS", is).replace("WHAT", what));
        assert_eq!(differing(&of("true", "x"), &of("true", "y").body), ["data"]);
        assert_eq!(differing(&of("false", "x"), &of("false", "y").body), [""; 0]);
    }
}
