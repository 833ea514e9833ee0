//! `retrograd completions` and `retrograd man`

use super::say;
use crate::error::{Error, Result};
use std::path::PathBuf;

/// Flags of `completions`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  retrograd completions bash > ~/.local/share/bash-completion/completions/retrograd
  retrograd completions zsh > ~/.zfunc/_retrograd           with ~/.zfunc in fpath
  retrograd completions fish > ~/.config/fish/completions/retrograd.fish")]
pub(super) struct Completions {
    /// Shell to complete for
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Flags of `man`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  retrograd man | man -l -                      read it
  retrograd man ~/.local/share/man/man1         one page for the program and one for each command")]
pub(super) struct Man {
    /// Folder for all pages; without one, the program's page goes to standard output
    dir: Option<PathBuf>,
}

pub(super) fn completions(args: &Completions, mut command: clap::Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "retrograd", &mut script);
    say(&String::from_utf8_lossy(&script));
    Ok(())
}

pub(super) fn man(args: &Man, command: clap::Command) -> Result<()> {
    let failed = |e: std::io::Error| Error::Input(format!("cannot write the pages: {e}; give another folder"));
    match &args.dir {
        Some(dir) => std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir)).map_err(failed),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).map_err(failed)?;
            say(&String::from_utf8_lossy(&page));
            Ok(())
        }
    }
}
