//! Memory of processes and of the machine, as the system counts it.

use std::path::Path;

/// The largest memory since [`forget_peak`], in bytes; `None` where the system does not tell.
pub fn peak() -> Option<u64> {
    line_of("/proc/self/status", "VmHWM:")
}

/// The largest memory of a process, in bytes; `None` where the system does not tell.
pub fn peak_of(process: u32) -> Option<u64> {
    line_of(&format!("/proc/{process}/status"), "VmHWM:")
}

/// What a process holds, in bytes; `None` where the system does not tell.
pub fn held_by(process: u32) -> Option<u64> {
    line_of(&format!("/proc/{process}/status"), "VmRSS:")
}

/// A line of a file of Linux that counts kibibytes, in bytes.
fn line_of(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// What the machine, or the container that this runs in, has left for a program, in bytes; `None` where the system does
/// not tell.
pub fn available() -> Option<u64> {
    let machine = line_of("/proc/meminfo", "MemAvailable:")?;
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
    fn lines_of_the_system_are_kibibytes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("status");
        std::fs::write(&file, "Name:\tdualk\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n").unwrap();
        let line = |name| line_of(&file.to_string_lossy(), name);
        assert_eq!([line("VmHWM:"), line("VmRSS:"), line("VmSwap:")], [Some(2 << 20), Some(1 << 20), None]);
    }

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
