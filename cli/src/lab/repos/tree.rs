//! What is the same in every lab.

/// A file of a repository.
pub(super) struct File {
    /// The repository.
    pub(super) repo: &'static str,
    /// Its path in it.
    pub(super) path: &'static str,
    /// What it says.
    pub(super) text: &'static str,
    /// Whether it is a program.
    pub(super) program: bool,
}

macro_rules! files {
    ($($repo:literal: $($path:literal $($program:ident)?),+;)+) => {
        &[$($(File {
            repo: $repo,
            path: $path,
            text: include_str!(concat!("tree/", $repo, "/", $path)),
            program: files!(@ $($program)?),
        }),+),+]
    };
    (@ program) => { true };
    (@) => { false };
}

/// All of them.
pub(super) const FILES: &[File] = files! {
    "railiance-infra":
        "README.md",
        "Makefile",
        "ansible/hosts.yaml",
        "ansible/site.yaml",
        "docs/adr/ADR-003-railiance-5repo-stack-architecture.md",
        "workplans/RAIL-HO-WP-0003-5repo-stack-restructure.md";
    "railiance-cluster":
        "README.md",
        "Makefile",
        "DECISIONS.md",
        "tests/smoke_kube.sh" program,
        "tests/test_ha_failover.sh" program,
        "tools/cmd/railiance-backup" program,
        "workplans/RAIL-BS-WP-0003-pgpool-ha-failover-fix.md",
        "workplans/RAIL-BS-WP-0004-safety-net.md";
    "railiance-platform":
        "README.md",
        "SCOPE.md",
        "Makefile";
    "railiance-enablement":
        "README.md",
        "Makefile",
        "docs/runners.md";
    "railiance-apps":
        "README.md",
        "Makefile",
        "docs/onboarding.md",
        "helm/README.md";
};

/// The workplan, its plan, and the plain values that T01 deploys: the project's own.
pub(super) const WORKPLAN: &str =
    include_str!("../../../../workplans/RAIL-PL-WP-0001-platform-baseline.md");
/// See [`WORKPLAN`].
pub(crate) const PLAN: &str = include_str!("../../../../plans/RAIL-PL-WP-0001.yaml");
/// The rules of the team that the plan opts in to.
pub(super) const POLICIES: &[(&str, &str)] = &[
    ("policies/adr-003.yaml", include_str!("../../../../policies/adr-003.yaml")),
    ("policies/d3.yaml", include_str!("../../../../policies/d3.yaml")),
];
/// See [`WORKPLAN`].
pub(super) const POSTGRES_VALUES: &str = include_str!("../../../../helm/postgresql-ha-values.yaml");
/// See [`WORKPLAN`].
pub(super) const VALKEY_VALUES: &str = include_str!("../../../../helm/valkey-values.yaml");
