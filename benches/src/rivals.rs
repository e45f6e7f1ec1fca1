//! The same steps in the language of each rival.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::{Shape, runbook};

/// Writes a folder with `steps` steps that each run `true`, once for every program that is
/// compared: `workplan.md`, `Makefile`, `build.ninja`, `justfile`, `Taskfile.yml`, `dag.yaml`
/// (Dagu), `Snakefile`, `main.tf` (Terraform, OpenTofu).
///
/// # Errors
/// The system's.
pub fn write_all(folder: &Path, shape: Shape, steps: usize) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in [
        ("workplan.md", runbook(shape, steps)),
        ("Makefile", make(shape, steps)),
        ("build.ninja", ninja(shape, steps)),
        ("justfile", just(shape, steps)),
        ("Taskfile.yml", task(shape, steps)),
        ("dag.yaml", dagu(shape, steps)),
        ("Snakefile", snakemake(shape, steps)),
        ("main.tf", terraform(shape, steps)),
    ] {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}

/// The step that comes before, in a chain.
fn before(shape: Shape, step: usize) -> Option<usize> {
    step.checked_sub(1).filter(|_| shape == Shape::Chain)
}

/// The steps that nothing needs.
fn last(shape: Shape, steps: usize) -> std::ops::Range<usize> {
    match shape {
        Shape::Chain => steps.saturating_sub(1)..steps,
        Shape::Wide => 0..steps,
    }
}

fn names(range: std::ops::Range<usize>, separator: &str) -> String {
    range.map(|s| format!("s{s}")).collect::<Vec<_>>().join(separator)
}

fn make(shape: Shape, steps: usize) -> String {
    let mut text = format!(".PHONY: all {}\n", names(0..steps, " "));
    let _ = writeln!(text, "all: {}", names(last(shape, steps), " "));
    for step in 0..steps {
        let need = before(shape, step).map(|s| format!(" s{s}")).unwrap_or_default();
        // The colon keeps make from running a lone word without a shell, as nobody else may.
        let _ = write!(text, "s{step}:{need}\n\t@true;\n");
    }
    text
}

fn ninja(shape: Shape, steps: usize) -> String {
    let mut text = String::from("rule t\n  command = true\n");
    for step in 0..steps {
        let need = before(shape, step).map(|s| format!(" s{s}")).unwrap_or_default();
        let _ = writeln!(text, "build s{step}: t{need}");
    }
    text
}

fn just(shape: Shape, steps: usize) -> String {
    let parallel = if shape == Shape::Wide { "[parallel]\n" } else { "" };
    let mut text = format!("{parallel}all: {}\n", names(last(shape, steps), " "));
    for step in 0..steps {
        let need = before(shape, step).map(|s| format!(" s{s}")).unwrap_or_default();
        let _ = write!(text, "s{step}:{need}\n    @true\n");
    }
    text
}

fn task(shape: Shape, steps: usize) -> String {
    let mut text = format!(
        "version: '3'\nsilent: true\ntasks:\n  default:\n    deps: [{}]\n",
        names(last(shape, steps), ", ")
    );
    for step in 0..steps {
        let need = before(shape, step).map(|s| format!("    deps: [s{s}]\n")).unwrap_or_default();
        // Through env: the built-in interpreter would answer `true` itself and start nothing.
        let _ = write!(text, "  s{step}:\n{need}    cmds: [/bin/true]\n");
    }
    text
}

fn dagu(shape: Shape, steps: usize) -> String {
    let mut text = String::from("type: graph\nmax_active_steps: 2\nsteps:\n");
    for step in 0..steps {
        let need = before(shape, step).map(|s| format!("    depends: [s{s}]\n"));
        let need = need.unwrap_or_default();
        let _ = write!(text, "  - name: s{step}\n    command: \"true\"\n{need}");
    }
    text
}

fn snakemake(shape: Shape, steps: usize) -> String {
    let mut text = format!(
        "rule all:\n    input: {}\n",
        last(shape, steps).map(|s| format!("'o/s{s}'")).collect::<Vec<_>>().join(", ")
    );
    for step in 0..steps {
        let need = before(shape, step).map(|s| format!("    input: 'o/s{s}'\n"));
        let need = need.unwrap_or_default();
        // It knows steps by their files; `touch` stands for `true`.
        let _ = write!(
            text,
            "rule s{step}:\n{need}    output: 'o/s{step}'\n    shell: 'touch {{output}}'\n"
        );
    }
    text
}

fn terraform(shape: Shape, steps: usize) -> String {
    let mut text = String::new();
    for step in 0..steps {
        let need = before(shape, step)
            .map(|s| format!("  depends_on = [terraform_data.s{s}]\n"))
            .unwrap_or_default();
        let _ = write!(
            text,
            "resource \"terraform_data\" \"s{step}\" {{\n{need}  provisioner \"local-exec\" {{\n    \
             command = \"true\"\n  }}\n}}\n"
        );
    }
    text
}
