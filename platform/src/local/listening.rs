//! Who listens on a port, and who is connected to one, from `/proc`.

use std::fs;

/// A sentence's part that names the process which listens on a TCP port, as far as may be seen.
pub(crate) fn who_listens(port: u16) -> Option<String> {
    let inode = listener(port)?;
    let link = format!("socket:[{inode}]");
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
        let Ok(descriptors) = fs::read_dir(entry.path().join("fd")) else { continue };
        let holds = |fd: &fs::DirEntry| {
            fs::read_link(fd.path()).is_ok_and(|target| target.to_string_lossy() == link)
        };
        if descriptors.flatten().any(|fd| holds(&fd)) {
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            let command: String = words.trim().chars().take(80).collect();
            return Some(format!("process {pid} (`{command}`)"));
        }
    }
    Some("another user's process".to_owned())
}

/// The inode of the socket that listens on a port.
fn listener(port: u16) -> Option<u64> {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        fs::read_to_string(table).ok()?.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (_, hex) = fields.get(1)?.rsplit_once(':')?;
            // State 0A is LISTEN.
            let here = u16::from_str_radix(hex, 16).ok()? == port && *fields.get(3)? == "0A";
            here.then(|| fields.get(9)?.parse().ok()).flatten()
        })
    })
}

/// The other ends of the connections that a TCP port has taken and that are open at both ends.
pub(crate) fn who_is_connected(port: u16) -> Vec<String> {
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        found.extend(text.lines().skip(1).filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (_, hex) = fields.get(1)?.rsplit_once(':')?;
            // State 01 is ESTABLISHED.
            let here = u16::from_str_radix(hex, 16).ok()? == port && *fields.get(3)? == "01";
            let (_, far) = fields.get(2)?.rsplit_once(':')?;
            let far = u16::from_str_radix(far, 16).ok()?;
            here.then(|| format!("127.0.0.1:{far}"))
        }));
    }
    found
}
