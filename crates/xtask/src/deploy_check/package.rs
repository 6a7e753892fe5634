//! The Debian package: built, unpacked, its program run, and its unit judged by systemd's own tools in that scratch root.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::tools::Tools;
use super::{Report, fresh, output};
use crate::man::man;

/// What `systemd-analyze security` may find, in tenths.
const EXPOSURE: &str = "20";
/// What a package must bring, and with which mode.
const FILES: [&str; 9] = [
    "usr/bin/ci-bridge",
    "usr/lib/systemd/system/ci-bridge.service",
    "etc/ci-bridge/ci-bridge.toml",
    "usr/share/doc/ci-bridge/systemd.md",
    "usr/share/man/man1/ci-bridge.1.gz",
    "usr/share/man/man1/ci-bridge-serve.1.gz",
    "usr/share/bash-completion/completions/ci-bridge",
    "usr/share/zsh/vendor-completions/_ci-bridge",
    "usr/share/fish/vendor_completions.d/ci-bridge.fish",
];

pub(super) fn check(out: &Path, tools: &Tools, report: &mut Report) -> Result<(), String> {
    if output(Command::new("dpkg-deb").arg("--version")).is_err() {
        report.left_out("the Debian package and its unit: there is no dpkg-deb");
        return Ok(());
    }
    output(&mut man())?;
    let archive = out.join("ci-bridge.deb");
    let mut build = Command::new(&tools.cargo_deb);
    // The program that the other checks used, as it is: a release build takes minutes, and the package is the same but for its size.
    build.args([
        "--package",
        "ci-bridge",
        "--profile",
        "dev",
        "--no-build",
        "--no-strip",
        "--fast",
        "--quiet",
        "--output",
    ]);
    output(build.arg(&archive))?;
    let scratch = fresh(&out.join("root"))?;
    output(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&scratch))?;
    let control = fresh(&out.join("control"))?;
    output(Command::new("dpkg-deb").arg("-e").arg(&archive).arg(&control))?;
    for file in FILES.iter().filter(|file| !scratch.join(file).is_file()) {
        report.finding(format!("the Debian package has no {file}"));
    }
    report.hold(output(Command::new(scratch.join(FILES[0])).arg("--version")).map(drop));
    report.hold(starts_nothing(&control));
    let scripts = ["postinst", "prerm", "postrm"].map(|script| control.join(script));
    report.hold(output(Command::new(tools.python("shellcheck")).args(scripts)).map(drop));
    if output(Command::new("systemd-analyze").arg("--version")).is_err() {
        report.left_out("the judgement of the systemd unit: there is no systemd-analyze");
        return Ok(());
    }
    unit(&scratch, report)
}

/// A new installation has no token: what starts by itself would fail, and what is enabled would at the next boot.
fn starts_nothing(control: &Path) -> Result<(), String> {
    let script =
        fs::read_to_string(control.join("postinst")).map_err(|error| format!("postinst: {error}"))?;
    for line in script.lines().map(str::trim) {
        let starts = line.contains("deb-systemd-invoke") && !line.contains("try-restart");
        if starts || line.contains("systemctl start") || line.contains("enable --now") {
            return Err(format!("the Debian package starts something by itself: {line}"));
        }
    }
    let conffiles = fs::read_to_string(control.join("conffiles")).unwrap_or_default();
    match conffiles.contains("/etc/ci-bridge/ci-bridge.toml") {
        true => Ok(()),
        false => Err("an upgrade of the Debian package would overwrite the configuration".to_owned()),
    }
}

fn unit(scratch: &Path, report: &mut Report) -> Result<(), String> {
    // What the unit refers to beside its own program: systemd's targets, and kill.
    let units =
        ["/usr/lib/systemd/system", "/lib/systemd/system"].into_iter().find(|dir| Path::new(dir).is_dir());
    let script =
        "cp -n \"$1\"/*.target \"$0\"/usr/lib/systemd/system/ && install -D -m 755 /dev/null \"$0\"/bin/kill";
    output(Command::new("sh").arg("-c").arg(script).arg(scratch).arg(units.unwrap_or_default()))?;
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]).arg(format!("--root={}", scratch.display())).arg("ci-bridge.service");
    report.hold(silent(&mut verify));
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=true", "--no-pager"]).arg(format!("--threshold={EXPOSURE}"));
    security.arg(format!("--root={}", scratch.display())).arg("ci-bridge.service");
    match output(&mut security) {
        Ok(said) => eprintln!("{}", said.lines().rfind(|line| line.contains("exposure")).unwrap_or_default()),
        Err(said) => report.finding(said),
    }
    Ok(())
}

/// A key that systemd does not know is a warning of its, and exit code 0.
fn silent(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && said.is_empty() { Ok(()) } else { Err(said.trim_end().to_owned()) }
}
