//! The program shows no window, so it opens nothing of a window system.

/// The variable that makes Vulkan's loader on Linux skip Mesa's layer for finding the GPU of the display. Without a display, that layer prints errors
/// for each device that is opened.
const WITHOUT: &str = "NODEVICE_SELECT";
/// The variable with which the user chooses a GPU through that layer, which must then stay.
const CHOSEN: &str = "MESA_VK_DEVICE_SELECT";

/// Starts the program again with that variable, which must be set before the process begins: the loader reads it in C, and changing it later is not
/// safe. The process stays the same, with its number, files and signals. If that fails, it continues as it is.
#[cfg(target_os = "linux")]
pub(super) fn leave_out_displays() {
    use std::os::unix::process::CommandExt;
    if [WITHOUT, CHOSEN].iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let (Ok(program), mut given) = (std::env::current_exe(), std::env::args_os()) else { return };
    let name = given.next().unwrap_or_else(|| program.clone().into_os_string());
    // Returns only on failure.
    let _ = std::process::Command::new(program).arg0(name).args(given).env(WITHOUT, "1").exec();
}

/// Other systems have no such layer.
#[cfg(not(target_os = "linux"))]
pub(super) fn leave_out_displays() {}
