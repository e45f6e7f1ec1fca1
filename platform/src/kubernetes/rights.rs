//! Which rights an operation needs, asked for before anything of it starts.

use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use super::cluster::Cluster;
use super::manifest::Wanted;
use crate::PlatformError;

/// A verb on a kind of objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Right {
    group: String,
    resource: String,
    subresource: Option<String>,
    verb: &'static str,
}

impl Right {
    /// `verb` on a resource of a group, `pods/exec` being a subresource.
    pub(super) fn new(verb: &'static str, group: &str, resource: &str) -> Self {
        let (resource, sub) = match resource.split_once('/') {
            Some((resource, sub)) => (resource, Some(sub.to_owned())),
            None => (resource, None),
        };
        let (group, resource) = (group.to_owned(), resource.to_owned());
        Self { group, resource, subresource: sub, verb }
    }

    fn words(&self) -> String {
        let sub = self.subresource.as_ref().map(|s| format!("/{s}")).unwrap_or_default();
        format!("{} {}{sub}", self.verb, self.resource)
    }
}

/// What Helm needs to make objects what a manifest says, and to keep its own record.
pub(super) fn of_deploy(wanted: &[Wanted]) -> BTreeSet<(Option<String>, Right)> {
    let mut all = BTreeSet::new();
    for object in wanted {
        let resource = object.resource();
        for verb in ["get", "create", "patch"] {
            let right = Right::new(verb, &resource.group, &resource.plural);
            all.insert((object.namespace.clone(), right));
        }
    }
    all
}

/// What Helm needs for its record.
pub(super) fn of_record(namespace: &str) -> BTreeSet<(Option<String>, Right)> {
    let right = |verb| (Some(namespace.to_owned()), Right::new(verb, "", "secrets"));
    ["get", "list", "create", "update", "patch", "delete"].into_iter().map(right).collect()
}

impl Cluster {
    /// Asks the cluster whether this account may do all of that.
    ///
    /// # Errors
    /// [`PlatformError::Denied`] with every right that is missing.
    pub(super) async fn demand(
        &self,
        wanted: BTreeSet<(Option<String>, Right)>,
    ) -> Result<(), PlatformError> {
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client().await?);
        let asked = wanted.into_iter().map(async |(namespace, right)| {
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(ResourceAttributes {
                        namespace: namespace.clone(),
                        group: Some(right.group.clone()),
                        resource: Some(right.resource.clone()),
                        subresource: right.subresource.clone(),
                        verb: Some(right.verb.to_owned()),
                        ..Default::default()
                    }),
                    ..Default::default()
                },
                ..Default::default()
            };
            let params = PostParams::default();
            let answer = self.ask("ask for its rights", || api.create(&params, &review)).await?;
            let allowed = answer.status.is_some_and(|status| status.allowed);
            Ok::<_, PlatformError>((!allowed).then_some((namespace, right)))
        });
        let mut missing: Vec<String> = Vec::new();
        for answer in futures_util::future::join_all(asked).await {
            if let Some((namespace, right)) = answer? {
                let place = match namespace {
                    Some(namespace) => format!("in the namespace `{namespace}`"),
                    None => "in the cluster".to_owned(),
                };
                missing.push(format!("{} {place}", right.words()));
            }
        }
        match missing.is_empty() {
            true => Ok(()),
            false => Err(PlatformError::Denied(format!(
                "this account of context `{}` may not {}; nothing was begun. helm/rbac has the roles",
                self.settings.context_name(),
                missing.join(", ")
            ))),
        }
    }
}
