//! The worlds of the contract test.

use async_trait::async_trait;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use workplan_engine::kind::{Step, With};

use super::lab::Lab;
use crate::kinds::fixture::Fixture;
use crate::support::{World, with};

/// Which of the kinds.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Create,
    Verify,
    Recent,
}

/// A world with backups of one file.
pub(crate) struct Backups {
    lab: Lab,
    kind: Kind,
}

impl Backups {
    pub(crate) async fn new(kind: Kind) -> Self {
        let lab = Lab::new();
        if kind != Kind::Create {
            lab.small().await;
        }
        if kind == Kind::Recent {
            lab.verify(json!({})).await.unwrap();
            // Until it is released there is none.
            fs::rename(lab.world.path("backups"), lab.world.path("away")).unwrap();
        }
        Self { lab, kind }
    }

    fn only(&self) -> String {
        self.lab.backups().pop().unwrap()
    }
}

#[async_trait]
impl Fixture for Backups {
    fn world(&self) -> &World {
        &self.lab.world
    }

    fn with(&self) -> With {
        match self.kind {
            Kind::Create => with(json!({"files": ["plain.conf"]})),
            Kind::Verify => with(json!({})),
            Kind::Recent => with(json!({"within": "1h"})),
        }
    }

    fn release(&self) {
        if self.kind == Kind::Recent {
            fs::rename(self.lab.world.path("away"), self.lab.world.path("backups")).unwrap();
        }
    }

    /// Killed while it writes a member.
    async fn cut_off(&self, _step: &dyn Step) {
        if self.kind == Kind::Create {
            let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
            let identity = format!("workplan:{}:{}:1", self.lab.world.run, crate::support::STEP);
            let owner = json!({"identity": identity, "host": host, "pid": 1});
            let folder = self.lab.layer().join("20250102T000000Z.partial");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("owner.json"), owner.to_string()).unwrap();
            fs::write(folder.join("digest.key.age"), "half").unwrap();
        }
    }

    fn is_there(&self) -> bool {
        let made = |name: &str| {
            let layer = self.lab.layer();
            layer.exists() && self.lab.backups().iter().any(|id| layer.join(id).join(name).exists())
        };
        match self.kind {
            Kind::Create => made("manifest.json"),
            Kind::Verify | Kind::Recent => made("verified.json"),
        }
    }

    /// A backup under another name is another one; a mark that is gone says nothing.
    fn put_foreign(&self) {
        let backup = self.lab.folder(&self.only());
        match self.kind {
            Kind::Create => fs::rename(&backup, self.lab.folder("20200101T000000Z")).unwrap(),
            Kind::Verify | Kind::Recent => fs::remove_file(backup.join("verified.json")).unwrap(),
        }
    }

    /// A backup is kept by a rollback, and with it its folder.
    fn fingerprint(&self) -> BTreeMap<String, String> {
        let world = &self.lab.world;
        let names = world.names().into_iter().filter(|name| name != "backups");
        names.map(|name| (name.clone(), world.read(&name).unwrap_or_default())).collect()
    }
}
