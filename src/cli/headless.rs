//! The program shows no window, so it opens nothing of a window system.

/// Of Vulkan's loader on Linux, the variable that leaves out Mesa's layer which looks for the GPU of the display. Where there is no display, that layer
/// prints errors, once for each device that is opened.
const WITHOUT: &str = "NODEVICE_SELECT";
/// The variable by which the user chooses a GPU through that layer, which must then stay.
const CHOSEN: &str = "MESA_VK_DEVICE_SELECT";

/// Begins again with that variable, which must stand before the process begins: the loader reads it in C, and changing it later is not safe. The
/// process stays the same one, with its number, files and signals. Where that fails, all goes on as it is.
#[cfg(target_os = "linux")]
pub(super) fn leave_out_displays() {
    use std::os::unix::process::CommandExt;
    if [WITHOUT, CHOSEN].iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let (Ok(program), mut given) = (std::env::current_exe(), std::env::args_os()) else { return };
    let name = given.next().unwrap_or_else(|| program.clone().into_os_string());
    // It returns only if it fails.
    let _ = std::process::Command::new(program).arg0(name).args(given).env(WITHOUT, "1").exec();
}

/// Elsewhere there is no such layer.
#[cfg(not(target_os = "linux"))]
pub(super) fn leave_out_displays() {}
