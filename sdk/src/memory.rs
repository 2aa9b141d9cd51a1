//! Memory of this process, as the system counts it.

use std::path::Path;

/// The largest memory since [`forget_peak`], in bytes; `None` where the system does not tell.
pub fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// What the machine, or the container that this runs in, has left for a program, in bytes; `None` where the system does
/// not tell.
pub fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let machine = line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024;
    Some(left_in(Path::new("/sys/fs/cgroup")).map_or(machine, |container| container.min(machine)))
}

/// What a control group of Linux (version 2) has left; `None` where it is not limited.
fn left_in(group: &Path) -> Option<u64> {
    let number = |name: &str| std::fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    // Pages of files that can be dropped count as used there, and are there for the taking.
    let text = std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let dropped = text.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse::<u64>().ok());
    let used = number("memory.current")?.saturating_sub(dropped.unwrap_or(0));
    Some(number("memory.max")?.saturating_sub(used))
}

/// Lets [`peak`] begin anew with what is held now.
pub fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_what_its_limit_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(left_in(folder.path()), None);
        write("memory.current", "700\n");
        write("memory.max", "max\n");
        assert_eq!(left_in(folder.path()), None, "no limit");
        write("memory.max", "1000\n");
        assert_eq!(left_in(folder.path()), Some(300));
        write("memory.stat", "anon 500\ninactive_file 200\n");
        assert_eq!(left_in(folder.path()), Some(500));
    }
}
