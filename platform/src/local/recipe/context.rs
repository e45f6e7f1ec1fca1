//! What a recipe may ask while it renders, and where it puts what it makes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use workplan_engine::kind::Secret;

use super::keys::{self, Keys};
use crate::local::names::service_host;
use crate::local::pod::{Pod, Text};
use crate::local::store::{Key, VolumeLabel};
use crate::local::world::World;
use crate::values::Values;
use crate::{IgnoredKey, Object, PlatformError, ReleaseRef, Rendered, SecretValues};

/// Whether ports are given out and secrets are made up for good, or only shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A preview: nothing is written.
    Show,
    /// A deploy; the store's lock is held.
    Deploy,
}

/// What a chart's values make here.
#[derive(Default)]
pub(crate) struct Rendition {
    /// The objects, sorted by kind and name.
    pub(crate) objects: Vec<Object>,
    /// Secrets that the release itself has.
    pub(crate) secrets: BTreeMap<String, WantedSecret>,
    /// Volumes.
    pub(crate) claims: BTreeMap<String, VolumeLabel>,
    /// What runs.
    pub(crate) pods: Vec<Pod>,
    /// Keys that were passed over.
    pub(crate) ignored: Vec<IgnoredKey>,
    /// Worth saying.
    pub(crate) notes: Vec<String>,
}

/// A Secret that a release has.
#[derive(Clone, Default)]
pub(crate) struct WantedSecret {
    /// Its values.
    pub(crate) values: SecretValues,
}

impl Rendition {
    /// As others see it.
    pub(crate) fn rendered(&self) -> Rendered {
        Rendered {
            objects: self.objects.clone(),
            ignored: self.ignored.clone(),
            notes: self.notes.clone(),
            refused: Vec::new(),
        }
    }
}

/// A recipe's view of its release.
pub(crate) struct Context<'w> {
    world: &'w World,
    at: ReleaseRef,
    part: Option<String>,
    mode: Mode,
    /// The key of digests; `None` where it may not be read.
    key: Option<Key>,
    out: Rendition,
    /// Ports that were shown, but not given.
    shown: BTreeMap<String, u16>,
    /// Secrets that are in no value of the user's, and may be part of what is shown.
    kept_out: Vec<Secret>,
}

impl<'w> Context<'w> {
    /// Renders the values of a release by its chart's recipe.
    pub(crate) fn render(
        world: &'w World,
        at: &ReleaseRef,
        recipe: &dyn super::Recipe,
        values: &Values,
        mode: Mode,
    ) -> Result<Rendition, PlatformError> {
        let key = match mode {
            Mode::Show => world.store.key()?,
            Mode::Deploy => Some(world.store.make_key()?),
        };
        let (at, shown) = (at.clone(), BTreeMap::new());
        let out = Rendition::default();
        let kept_out = Vec::new();
        let mut cx = Context { world, at, part: None, mode, key, out, shown, kept_out };
        let used = RefCell::new(BTreeSet::new());
        // The chart's own values, and the user's over them, as Helm lays them.
        let mut all = recipe.defaults();
        all.merge(values);
        recipe.render(&mut cx, &Keys::new(&all, &used))?;
        cx.finish(values, &used.borrow())
    }

    /// Renders a subchart into the same release.
    pub(crate) fn subchart(
        &mut self,
        name: &str,
        recipe: &dyn super::Recipe,
        values: &Keys<'_>,
    ) -> Result<(), PlatformError> {
        let outer = self.part.replace(name.to_owned());
        let done = recipe.render(self, &values.below(name));
        self.part = outer;
        done
    }

    /// The release.
    pub(crate) fn release(&self) -> &ReleaseRef {
        &self.at
    }

    /// The namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.at.namespace
    }

    /// The subchart that is being rendered.
    pub(crate) fn part(&self) -> Option<&str> {
        self.part.as_deref()
    }

    /// The chart's `common.names.fullname`: `fullnameOverride`, else the release's name where it
    /// holds the chart's, else both.
    ///
    /// # Errors
    /// An override that is no text.
    pub(crate) fn fullname(&self, chart: &str, values: &Keys<'_>) -> Result<String, PlatformError> {
        if let Some(name) = values.text("fullnameOverride")? {
            return Ok(cut(&name));
        }
        let chart = values.text("nameOverride")?.unwrap_or_else(|| chart.to_owned());
        let release = &self.at.name;
        Ok(if release.contains(&chart) { cut(release) } else { cut(&format!("{release}-{chart}")) })
    }

    /// The loopback port of a pod's port. In a preview, one that was not given yet is a guess.
    ///
    /// # Errors
    /// When none is free.
    pub(crate) fn port(&mut self, pod: &str, name: &str) -> Result<u16, PlatformError> {
        let owner = format!("{}/{pod}/{name}", self.at.namespace);
        if self.mode == Mode::Deploy {
            return self.world.store.ports.give(&owner);
        }
        if let Some(port) = self.world.store.ports.find(&owner)? {
            return Ok(port);
        }
        if let Some(port) = self.shown.get(&owner) {
            return Ok(*port);
        }
        let taken: Vec<u16> = self.shown.values().copied().collect();
        let port = self.world.store.ports.guess(&taken)?;
        self.shown.insert(owner, port);
        Ok(port)
    }

    /// The deployed value of a Secret's key; `None` where there is none or it may not be read.
    ///
    /// # Errors
    /// When it is there and damaged.
    pub(crate) fn deployed(&self, name: &str, key: &str) -> Result<Option<Secret>, PlatformError> {
        match self.world.store.secrets(&self.at.namespace).read(name) {
            Ok(values) => Ok(values.and_then(|v| v.get(key).cloned())),
            Err(PlatformError::Denied(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All deployed values of a Secret that somebody else made; as [`Context::existing_secret`].
    ///
    /// # Errors
    /// When a deploy does not find it.
    pub(crate) fn existing_secrets(&mut self, name: &str) -> Result<SecretValues, PlatformError> {
        let label = self.world.store.secrets(&self.at.namespace).label(name)?;
        let keys = label.map(|label| label.keys).unwrap_or_default();
        if keys.is_empty() {
            self.existing_secret(name, "")?;
        }
        keys.into_iter().map(|key| Ok((key.clone(), self.existing_secret(name, &key)?))).collect()
    }

    /// A key of a Secret that the release itself has: the given value, or the deployed one, or one
    /// made up.
    ///
    /// # Errors
    /// As [`Context::deployed`].
    pub(crate) fn own_secret(
        &mut self,
        name: &str,
        key: &str,
        given: Option<Secret>,
    ) -> Result<Secret, PlatformError> {
        let known = self.out.secrets.get(name).and_then(|s| s.values.get(key).cloned());
        let value = match (given, known) {
            (Some(given), _) => given,
            (None, Some(known)) => known,
            (None, None) => match self.deployed(name, key)? {
                Some(deployed) => deployed,
                None => generated()?,
            },
        };
        let secret = self.out.secrets.entry(name.to_owned()).or_default();
        secret.values.insert(key.to_owned(), value.clone());
        Ok(value)
    }

    /// A key of a Secret that somebody else made. In a preview one that may not be read is empty,
    /// and one that is missing is noted.
    ///
    /// # Errors
    /// When a deploy does not find it: Kubernetes would leave the pod waiting without a word.
    pub(crate) fn existing_secret(
        &mut self,
        name: &str,
        key: &str,
    ) -> Result<Secret, PlatformError> {
        let namespace = &self.at.namespace;
        let what = match self.world.store.secrets(namespace).label(name)? {
            None => format!("the Secret `{namespace}/{name}` is not there"),
            Some(label) if !label.keys.iter().any(|k| k == key) => {
                format!("the Secret `{namespace}/{name}` has no key `{key}`")
            }
            Some(_) => {
                return Ok(self.deployed(name, key)?.unwrap_or_else(|| Secret::new(Vec::new())));
            }
        };
        if self.mode == Mode::Show {
            // An earlier step may make it.
            self.note(what);
            return Ok(Secret::new(Vec::new()));
        }
        Err(PlatformError::Failed {
            what,
            said: Vec::new(),
            help: Some("make the Secret before the release that uses it".to_owned()),
        })
    }

    /// A volume of the release, made where it is missing. Returns where it lies.
    pub(crate) fn claim(&mut self, name: &str) -> std::path::PathBuf {
        let label = VolumeLabel {
            release: self.at.name.clone(),
            part: self.part.clone(),
            holds: BTreeMap::new(),
        };
        self.out.claims.insert(name.to_owned(), label);
        let body = json!({"kept": true});
        self.object("PersistentVolumeClaim", name, body);
        self.world.store.volumes(&self.at.namespace).path(name)
    }

    /// What is known of a volume that is there already.
    ///
    /// # Errors
    /// When what is known of it cannot be read.
    pub(crate) fn volume(&self, name: &str) -> Result<Option<VolumeLabel>, PlatformError> {
        self.world.store.volumes(&self.at.namespace).label(name)
    }

    /// The folder of a pod.
    pub(crate) fn pod_folder(&self, pod: &str) -> std::path::PathBuf {
        self.world.store.pods(&self.at.namespace).join(pod)
    }

    /// An object of the release. Secret values in it are hidden afterwards.
    pub(crate) fn object(&mut self, kind: &str, name: &str, body: Value) {
        self.out.objects.push(Object { kind: kind.to_owned(), name: name.to_owned(), body });
    }

    /// A Service: its ports by number, each with the name of the pods' port, and its pods.
    pub(crate) fn service(&mut self, name: &str, ports: &[(u16, u16)], pods: &[String]) {
        let ports: Vec<Value> =
            ports.iter().map(|(p, t)| json!({"port": p, "target": t})).collect();
        self.object("Service", name, json!({"ports": ports, "pods": pods}));
    }

    /// A pod. The workload's object is made of its pods in the end.
    pub(crate) fn pod(&mut self, pod: Pod) {
        self.out.pods.push(pod);
    }

    /// Something worth saying.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.out.notes.contains(&note) {
            self.out.notes.push(note);
        }
    }

    /// A key of the values that has no effect here, with a reason that only this recipe knows.
    pub(crate) fn ignore(&mut self, key: &str, why: &str) {
        self.out.ignored.push(IgnoredKey { key: key.to_owned(), why: why.to_owned() });
    }

    /// A secret's digest, or a word where it may not be made.
    pub(crate) fn digest(&self, secret: &[u8]) -> String {
        self.key.as_ref().map_or_else(|| "unreadable".to_owned(), |key| key.digest(secret))
    }

    /// Keeps a secret out of all that is shown, wherever it ended up.
    pub(crate) fn keep_out(&mut self, secret: &Secret) {
        self.kept_out.push(secret.clone());
    }

    /// The program that the target names for a server: `local.NAME`.
    pub(crate) fn program(&self, name: &str) -> Option<std::path::PathBuf> {
        self.world.programs.get(name).cloned()
    }

    /// The loopback address behind a host and port of the values, where that names a service of
    /// this platform; it is noted. `Ok(None)` where it names something else.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn translate(
        &mut self,
        host: &str,
        port: u16,
    ) -> Result<Option<(String, u16)>, PlatformError> {
        let Some((service, namespace)) = service_host(host, &self.at.namespace) else {
            return Ok(None);
        };
        let own = (namespace == self.at.namespace)
            .then(|| find_service(&self.out.objects, &service, port))
            .flatten();
        let found = match own {
            Some((pods, target)) => {
                let local = |pod: &String| {
                    let pod = self.out.pods.iter().find(|p| p.name == *pod)?;
                    let ports = pod.containers.iter().flat_map(|c| &c.ports);
                    ports.filter(|p| p.port == target).map(|p| p.local).next()
                };
                pods.iter().find_map(local)
            }
            None => self.world.service_port(&namespace, &service, port)?,
        };
        match found {
            Some(local) => {
                self.note(format!("`{host}:{port}` is 127.0.0.1:{local} here"));
                Ok(Some(("127.0.0.1".to_owned(), local)))
            }
            None if host.ends_with(".svc") || host.contains(".svc.") => {
                self.note(format!(
                    "`{host}:{port}` names the service `{service}` of namespace `{namespace}`, \
                     which is not there yet"
                ));
                Ok(None)
            }
            None => Ok(None),
        }
    }

    fn finish(
        mut self,
        values: &Values,
        used: &BTreeSet<Vec<String>>,
    ) -> Result<Rendition, PlatformError> {
        self.out.ignored.extend(keys::ignored(values, used));
        self.out.ignored.sort();
        self.workloads()?;
        if self.key.is_none() {
            self.note(
                "the key of this platform's digests may not be read: whether Secrets would change \
                 cannot be told",
            );
        }
        let secrets = std::mem::take(&mut self.out.secrets);
        for (name, secret) in &secrets {
            let body: Map<String, Value> = secret
                .values
                .iter()
                .map(|(key, value)| (key.clone(), hidden(self.key.as_ref(), value)))
                .collect();
            self.object("Secret", name, Value::Object(body));
        }
        self.out.secrets = secrets;
        self.hide(values);
        self.out.objects.sort_by(|a, b| (&a.kind, &a.name).cmp(&(&b.kind, &b.name)));
        Ok(self.out)
    }

    /// One object for each workload, made of its pods.
    fn workloads(&mut self) -> Result<(), PlatformError> {
        let mut workloads: BTreeMap<String, Vec<&Pod>> = BTreeMap::new();
        for pod in &self.out.pods {
            workloads.entry(pod.workload.clone()).or_default().push(pod);
        }
        let mut objects = Vec::new();
        for (name, pods) in workloads {
            let first = pods[0];
            let kind = if first.claims.is_empty() { "Deployment" } else { "StatefulSet" };
            let templates: Vec<Value> =
                pods.iter().map(|pod| json!(template(self.key.as_ref(), pod))).collect();
            let programs: Map<String, Value> = first
                .containers
                .iter()
                .map(|c| (c.name.clone(), json!(c.program.display().to_string())))
                .collect();
            let mut body = json!({
                "component": first.component,
                "part": first.part,
                "replicas": pods.len(),
                "containers": programs,
                "templates": templates,
            });
            if first.gate {
                body["gate"] = json!(true);
            }
            objects.push((kind, name, body));
        }
        for (kind, name, body) in objects {
            self.object(kind, &name, body);
        }
        Ok(())
    }

    /// Takes values that the user marked as secret out of what is shown, wherever they ended up.
    fn hide(&mut self, values: &Values) {
        let mut secret: Vec<String> = values
            .leaves()
            .into_iter()
            .filter(|(.., secret)| *secret)
            .filter_map(|(_, value, _)| value.as_str().map(str::to_owned))
            .collect();
        let more = self.kept_out.iter().map(|s| String::from_utf8_lossy(s.reveal()).into_owned());
        secret.extend(more);
        // A shorter one is a part of any word.
        secret.retain(|text| text.len() > 2);
        for object in self.out.objects.iter_mut().filter(|o| o.kind != "Secret") {
            for text in &secret {
                let shown = hidden(self.key.as_ref(), &Secret::new(text.as_bytes()));
                replace(&mut object.body, text, shown.as_str().unwrap_or("hmac:"));
            }
        }
    }
}

fn replace(value: &mut Value, secret: &str, shown: &str) {
    match value {
        Value::String(text) if text.contains(secret) => *text = text.replace(secret, shown),
        Value::Array(items) => items.iter_mut().for_each(|v| replace(v, secret, shown)),
        Value::Object(map) => map.values_mut().for_each(|v| replace(v, secret, shown)),
        _ => {}
    }
}

/// A secret's digest, or a word where it may not be made.
pub(crate) fn hidden(key: Option<&Key>, value: &Secret) -> Value {
    match key {
        Some(key) => json!(key.digest(value.reveal())),
        None => json!("unreadable"),
    }
}

/// The pods and the target port of a service among objects.
pub(crate) fn find_service(
    objects: &[Object],
    name: &str,
    port: u16,
) -> Option<(Vec<String>, u16)> {
    let service = objects.iter().find(|o| o.kind == "Service" && o.name == name)?;
    let ports = service.body.get("ports")?.as_array()?;
    let entry =
        ports.iter().find(|p| p.get("port").and_then(Value::as_u64) == Some(port.into()))?;
    let target = u16::try_from(entry.get("target")?.as_u64()?).ok()?;
    let pods = service.body.get("pods")?.as_array()?;
    Some((pods.iter().filter_map(|p| p.as_str().map(str::to_owned)).collect(), target))
}

/// Digest of all that makes a pod what it is. Where the key may not be read there is none.
pub(crate) fn template(key: Option<&Key>, pod: &Pod) -> String {
    let files: Vec<Value> = pod
        .files
        .iter()
        .map(|file| match &file.text {
            Text::Open(text) => json!([file.path, text]),
            Text::Sealed(secret) => {
                json!([file.path, String::from_utf8_lossy(secret.reveal())])
            }
        })
        .collect();
    let containers: Vec<Value> = pod
        .containers
        .iter()
        .map(|c| {
            let secrets: Vec<Value> = c
                .secret_env
                .iter()
                .map(|(n, v)| json!([n, String::from_utf8_lossy(v.reveal())]))
                .collect();
            json!([c.name, c.program, c.args, c.env, secrets, c.cwd, c.ports])
        })
        .collect();
    let all = json!([pod.name, pod.chart, pod.claims, files, containers, pod.settings]);
    key.map_or_else(|| "unreadable".to_owned(), |key| key.digest_json(&all))
}

/// A password of 24 letters and digits, as the charts make them.
fn generated() -> Result<Secret, PlatformError> {
    const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut text = Vec::with_capacity(24);
    let mut bytes = [0; 64];
    while text.len() < 24 {
        getrandom::fill(&mut bytes)
            .map_err(|e| PlatformError::failed(format!("failed to get random bytes: {e}")))?;
        // 248 is the largest multiple of 62 in a byte: no letter is likelier than another.
        let fair = bytes.iter().filter(|b| **b < 248);
        text.extend(fair.map(|b| LETTERS[usize::from(b % 62)]).take(24 - text.len()));
    }
    Ok(Secret::new(text))
}

/// A name as Kubernetes takes it: at most 63 characters, no hyphen at the end.
fn cut(name: &str) -> String {
    name.chars().take(63).collect::<String>().trim_end_matches('-').to_owned()
}
