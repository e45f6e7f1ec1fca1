//! Definitions, through `pg_dump` and `pg_restore`.

use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use workplan_engine::kind::{Hands, StepError};

use super::ready::Ready;
use super::script;
use super::tools::{self, Way};
use crate::postgres::site::{Site, not_started};

/// A file that is in memory only and gone with the engine: definitions may hold passwords (of
/// foreign servers, of subscriptions), and a file on the disk would outlive a kill. Children open
/// it by its path.
pub(super) struct Memory(File);

impl Memory {
    fn new(name: &str) -> Result<Self, StepError> {
        let made = memfd_create(name, MemfdFlags::CLOEXEC);
        let fd =
            made.map_err(|e| not_started(format!("no memory for a file is to be had: {e}")))?;
        Ok(Self(File::from(fd)))
    }

    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    fn read(&mut self) -> Result<String, StepError> {
        let mut bytes = Vec::new();
        self.0
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.0.read_to_end(&mut bytes))
            .map_err(|e| StepError::failed(format!("a file in memory cannot be read: {e}")))?;
        String::from_utf8(bytes)
            .map_err(|_| StepError::failed("the definitions hold text that is not UTF-8"))
    }

    fn write(&mut self, text: &str) -> Result<(), StepError> {
        self.0
            .set_len(0)
            .and_then(|()| self.0.seek(SeekFrom::Start(0)))
            .and_then(|_| self.0.write_all(text.as_bytes()))
            .map_err(|e| StepError::failed(format!("a file in memory cannot be written: {e}")))
    }
}

/// The definitions of a database, as `pg_dump` gives them.
pub(super) struct Schema<'a> {
    hands: &'a Hands,
    ready: &'a Ready,
    jobs: usize,
    archive: Memory,
    /// The lines of the archive's table of contents that are event triggers.
    watchers: Vec<String>,
    contents: Vec<String>,
    deadline: tokio::time::Instant,
}

/// The deadline of a program where the step has none.
const NO_DEADLINE: Duration = Duration::from_secs(24 * 3600);

impl<'a> Schema<'a> {
    /// Takes the definitions, in the snapshot of the rows.
    ///
    /// # Errors
    /// In the words of `pg_dump`.
    pub(super) async fn dump(
        hands: &'a Hands,
        ready: &'a Ready,
        from: (&Site, &str),
        snapshot: &str,
        jobs: usize,
    ) -> Result<Self, StepError> {
        let archive = Memory::new("definitions")?;
        let deadline = tokio::time::Instant::now() + hands.timeout.unwrap_or(NO_DEADLINE);
        let mut schema = Self {
            hands,
            ready,
            jobs,
            archive,
            watchers: Vec::new(),
            contents: Vec::new(),
            deadline,
        };
        let way = Way::to(from.0, from.1, ready.source.version).await?;
        let mut spec = ready.tools.call(hands, "pg_dump", &way, schema.left());
        let path = schema.archive.path();
        spec.argv.extend(
            [
                "-Fc",
                "-Z0",
                "--schema-only",
                "--no-password",
                "--quote-all-identifiers",
                "--encoding=UTF8",
                &format!("--snapshot={snapshot}"),
                "-f",
                &path,
            ]
            .map(Into::into),
        );
        tools::run(hands, "reading the definitions", spec).await?;
        schema.list().await?;
        Ok(schema)
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(tokio::time::Instant::now())
    }

    /// Reads the table of contents.
    async fn list(&mut self) -> Result<(), StepError> {
        let mut list = Memory::new("contents")?;
        let program = self.ready.tools.program("pg_restore");
        let mut spec =
            workplan_engine::kind::CommandSpec::new([program], &self.hands.base, self.left());
        spec.argv.extend(["-l", "-f", &list.path(), &self.archive.path()].map(Into::into));
        tools::run(self.hands, "reading the table of contents", spec).await?;
        let (watchers, contents) = list
            .read()?
            .lines()
            .filter(|line| !line.starts_with(';') && !line.is_empty())
            .map(str::to_owned)
            .partition(|line| line.contains(" EVENT TRIGGER "));
        (self.watchers, self.contents) = (watchers, contents);
        Ok(())
    }

    /// Makes everything that rows need to be put in: types, functions, tables.
    ///
    /// # Errors
    /// In the words of `pg_restore`.
    pub(super) async fn before_rows(&self, to: (&Site, &str)) -> Result<(), StepError> {
        self.restore(to, "pre-data", &self.contents, 1, "making the definitions").await
    }

    /// Makes what is built over rows: indexes, constraints, triggers.
    ///
    /// # Errors
    /// In the words of `pg_restore`.
    pub(super) async fn after_rows(&self, to: (&Site, &str)) -> Result<(), StepError> {
        let what = "building indexes and constraints";
        self.restore(to, "post-data", &self.contents, self.jobs, what).await
    }

    /// Makes event triggers, which would see all of the above.
    ///
    /// # Errors
    /// In the words of `pg_restore`.
    pub(super) async fn watchers(&self, to: (&Site, &str)) -> Result<(), StepError> {
        if self.watchers.is_empty() {
            return Ok(());
        }
        self.restore(to, "post-data", &self.watchers, 1, "making event triggers").await
    }

    async fn restore(
        &self,
        to: (&Site, &str),
        section: &str,
        contents: &[String],
        jobs: usize,
        what: &str,
    ) -> Result<(), StepError> {
        let mut list = Memory::new("wanted")?;
        list.write(&(contents.join("\n") + "\n"))?;
        let way = Way::to(to.0, to.1, self.ready.target.version)
            .await?
            // The mark that says it is whole is written with a flush, and that flushes all before.
            .set("synchronous_commit=off")
            .set("maintenance_work_mem=256MB");
        let mut arguments = vec![
            format!("--section={section}"),
            "--exit-on-error".to_owned(),
            format!("--use-list={}", list.path()),
        ];
        if !self.ready.tablespaces {
            arguments.push("--no-tablespaces".to_owned());
        }
        if !self.ready.roles.is_empty() {
            return self.restore_renamed(&way, arguments, what).await;
        }
        let mut spec = self.ready.tools.call(self.hands, "pg_restore", &way, self.left());
        spec.argv.push("--no-password".into());
        spec.argv.extend(arguments.into_iter().map(Into::into));
        spec.argv.push(format!("--jobs={jobs}").into());
        spec.argv.push(self.archive.path().into());
        tools::run(self.hands, what, spec).await
    }

    /// As a script in which roles have their other names.
    async fn restore_renamed(
        &self,
        way: &Way,
        arguments: Vec<String>,
        what: &str,
    ) -> Result<(), StepError> {
        let mut text = Memory::new("script")?;
        let program = self.ready.tools.program("pg_restore");
        let mut spec =
            workplan_engine::kind::CommandSpec::new([program], &self.hands.base, self.left());
        spec.argv.extend(arguments.into_iter().map(Into::into));
        spec.argv.extend(["-f", &text.path(), &self.archive.path()].map(Into::into));
        tools::run(self.hands, what, spec).await?;
        let renamed = script::renamed(&text.read()?, &self.ready.roles);
        text.write(&renamed)?;
        let mut spec = self.ready.tools.call(self.hands, "psql", way, self.left());
        spec.argv.extend(
            ["-X", "-q", "-w", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-f", &text.path()]
                .map(Into::into),
        );
        tools::run(self.hands, what, spec).await
    }
}
