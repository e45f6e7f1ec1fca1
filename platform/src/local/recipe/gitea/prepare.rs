//! What the chart's init containers do: `app.ini` and the schema.

use std::path::{Path, PathBuf};

use workplan_engine::kind::Secret;

use super::{Settings, VARIABLES, config, ini};
use crate::PlatformError;
use crate::local::pod::{Pod, Text};
use crate::local::run::{Act, Program};
use crate::local::store::files;

/// Secrets that only `app.ini` has. What is encrypted in the database is lost without them, so they
/// are made once and stay with the volume.
const ONCE: &[(&str, &str, Random)] = &[
    ("security", "SECRET_KEY", Random::Letters(64)),
    ("security", "INTERNAL_TOKEN", Random::Letters(96)),
    ("oauth2", "JWT_SECRET", Random::Key),
    ("server", "LFS_JWT_SECRET", Random::Key),
];

#[derive(Clone, Copy)]
enum Random {
    /// So many letters and digits.
    Letters(usize),
    /// 32 bytes as Gitea spells them: base64url without padding.
    Key,
}

pub(super) async fn prepare(act: &Act<'_>, pod: &Pod) -> Result<(), PlatformError> {
    let settings = Settings::of(&pod.settings)?;
    let ini = settings.ini();
    let Some(folder) = ini.parent() else { return Ok(()) };
    for folder in [folder.parent().unwrap_or(folder), folder] {
        files::make_folder_for(folder, 0o750, act.account)?;
    }
    write_ini(act, pod, &settings, &ini).await?;
    let migrate = [Path::new("--config"), &ini, Path::new("migrate")];
    let mut program = Program::new(&settings.program, migrate);
    program.env = settings.env();
    program.cwd.clone_from(&settings.data);
    act.done(program).await?;
    Ok(())
}

/// Merges the variables into the file, as the chart does. Not in place: a kill in the middle of
/// that would take away secrets that are nowhere else.
async fn write_ini(
    act: &Act<'_>,
    pod: &Pod,
    settings: &Settings,
    path: &Path,
) -> Result<(), PlatformError> {
    let old = match std::fs::read_to_string(path) {
        Ok(text) => ini::parse(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            files::write_for(path, b"", files::SEALED, Some(act.account))?;
            ini::Ini::new()
        }
        Err(error) => return Err(PlatformError::io("read", path, &error)),
    };
    let mut program = Program::new(
        &settings.program,
        ["--config", &path.to_string_lossy(), "config", "edit-ini", "--apply-env", "--out"],
    );
    let new = path.with_extension("ini.new");
    files::write_for(&new, b"", files::SEALED, Some(act.account))?;
    program.args.push(new.clone().into());
    program.env = settings.env();
    program.cwd.clone_from(&settings.data);
    for (name, value, secret) in variables(pod)? {
        if secret {
            program.secret_env.push((name, Secret::new(value.into_bytes())));
        } else {
            program.env.push((name, value));
        }
    }
    for (section, key, random) in ONCE {
        let name = ini::variable(section, key);
        let is_there =
            old.get(*section).and_then(|keys| keys.get(*key)).is_some_and(|v| !v.is_empty());
        let is_given = program.secret_env.iter().any(|(given, _)| *given == name);
        if !is_there && !is_given {
            let secret = random.make()?;
            act.hands.conceal(&secret);
            program.secret_env.push((name, secret));
        }
    }
    act.done(program).await?;
    files::replace(&new, path)?;
    take_snapshot(act, pod, settings, path)
}

/// Keeps what this start reads, with digests for secrets, for those who may not read the file.
fn take_snapshot(
    act: &Act<'_>,
    pod: &Pod,
    settings: &Settings,
    ini: &Path,
) -> Result<(), PlatformError> {
    let text = std::fs::read_to_string(ini).map_err(|e| PlatformError::io("read", ini, &e))?;
    let Some(key) = act.world().store.key()? else { return Ok(()) };
    let shown = config::shown(ini::parse(&text), &settings.concealed, |s| key.digest(s));
    files::write_json(&snapshot(&act.folder(&pod.name).0), &shown, files::OPEN)
}

/// The variables of a pod, with whether each is secret.
fn variables(pod: &Pod) -> Result<Vec<(String, String, bool)>, PlatformError> {
    let file = pod.files.iter().find(|file| file.path == VARIABLES);
    let Some(Text::Sealed(text)) = file.map(|file| &file.text) else { return Ok(Vec::new()) };
    serde_json::from_slice(text.reveal()).map_err(|e| {
        PlatformError::failed(format!("the variables of `{}` are damaged: {e}", pod.name))
    })
}

impl Random {
    fn make(self) -> Result<Secret, PlatformError> {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let mut bytes = [0; 96];
        getrandom::fill(&mut bytes)
            .map_err(|e| PlatformError::failed(format!("failed to get random bytes: {e}")))?;
        Ok(match self {
            Self::Key => Secret::new(URL_SAFE_NO_PAD.encode(&bytes[..32]).into_bytes()),
            Self::Letters(count) => {
                let text = URL_SAFE_NO_PAD.encode(bytes);
                let letters = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { 'x' });
                Secret::new(letters.take(count).collect::<String>().into_bytes())
            }
        })
    }
}

/// Where a snapshot of what a start read lies, for those who may not read `app.ini`.
pub(super) fn snapshot(folder: &Path) -> PathBuf {
    folder.join("app.json")
}
