//! Secret references, from outside.

use std::path::Path;

use crate::support::Bench;

/// A bench with SOPS files: one beside the workplan, one in a sibling repo, one of the target.
fn bench(identity: &str) -> Bench {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../platform/tests/sops/fixtures");
    let bench = Bench::with(concat!(
        "---\nid: X-1\n---\n## T01 — Check the passwords\n\n",
        "```task\nid: X-1-T01\nstatus: todo\n```\n\n",
        "```steps\n",
        "- id: x\n",
        "  uses: command\n",
        "  with:\n",
        "    run: |\n",
        "      [ \"$A$B$C$D\" = firstsecond12345678told ]\n",
        "      echo \"passwords: $A $B $C $D\"\n",
        "      echo done > done\n",
        "    check: test -e done\n",
        "    secrets:\n",
        "      A: sops:helm/x.sops.yaml#/users/0/password\n",
        "      B: sops:apps:x.sops.yaml#/users/1/password\n",
        "      C: \"${{ target.databases.old.password }}\"\n",
        "      D: \"${{ target.values.token }}\"\n",
        "```\n",
    ));
    let file = std::fs::read(fixtures.join("regex.sops.yaml")).unwrap();
    bench.write("helm/x.sops.yaml", &file);
    bench.write("apps/x.sops.yaml", &file);
    bench.write("lab/secrets/x.sops.yaml", &file);
    bench.write("lab/secrets/token", "told\n");
    bench.write("lab/keys/age.txt", std::fs::read(fixtures.join("one.key")).unwrap());
    bench.write(
        "lab/targets/lab.yaml",
        format!(
            "kind: local\n\
             identity: {identity}\n\
             repos: {{apps: ../apps}}\n\
             sops: {{age_key_file: keys/age.txt}}\n\
             databases:\n  \
               old: {{host: 127.0.0.1, password: \"sops:secrets/x.sops.yaml#/auth/password\"}}\n\
             values: {{token: \"file:secrets/token\"}}\n"
        ),
    );
    bench
}

#[test]
fn they_are_found_beside_the_workplan_in_repos_and_at_the_target() {
    let bench = bench("secrets-found");
    let ran = bench.expect(0, &["run", "plan.md", "--target", "lab/targets/lab.yaml", "--yes"]);
    assert!(bench.has("done"), "{}{}", ran.stdout, ran.stderr);
    let log = bench.expect(0, &["log", "T01.x"]);
    assert!(log.stdout.contains("passwords: *** *** *** ***"), "{}", log.stdout);
}

#[test]
fn a_missing_key_is_named_and_the_step_does_not_start() {
    let bench = bench("secrets-missing");
    bench.write("lab/keys/age.txt", "# nothing\n");
    let ran = bench.expect(8, &["run", "plan.md", "--target", "lab/targets/lab.yaml", "--yes"]);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("there is no key for"), "{said}");
    assert!(said.contains("keys/age.txt` has 0 identities"), "{said}");
    assert!(!bench.has("done"));
}
