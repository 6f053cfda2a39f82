//! Whether other processes could append to a file.

use std::fs::File;

/// Whether another process has a file open for writing; `None` where the system does not say.
///
/// Source: proc(5). Processes of other users are not seen.
#[cfg(target_os = "linux")]
pub(super) fn is_held_by_others(file: &File) -> Option<bool> {
    use std::os::unix::fs::MetadataExt;
    let wanted = file.metadata().ok()?;
    let is_it = |path: &std::path::Path| {
        path.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (wanted.dev(), wanted.ino()))
    };
    let entries = |path: std::path::PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut others = processes.filter(|process| {
        let name = process.file_name();
        name.as_encoded_bytes().iter().all(u8::is_ascii_digit) && name != own.as_str()
    });
    Some(others.any(|process| {
        let process = process.path();
        entries(process.join("fd")).any(|fd| is_it(&fd.path()) && can_write(&process, &fd.file_name()))
    }))
}

/// Whether a descriptor is open for writing. Its flags are in octal, the way of access in their last two bits.
#[cfg(target_os = "linux")]
fn can_write(process: &std::path::Path, fd: &std::ffi::OsStr) -> bool {
    let info = std::fs::read_to_string(process.join("fdinfo").join(fd)).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).is_some_and(|flags| flags & 3 != 0)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_held_by_others(_: &File) -> Option<bool> {
    None
}
