"""Has a second WGSL compiler, that of Chromium, accept every shader: python3 tests/webgpu.py [CHROMIUM]

Makes the texts by `cargo test`, and gives them to createShaderModule in a headless browser. Exit code 1 if any has an error.
"""

import html
import json
import pathlib
import re
import subprocess
import sys
import tempfile

PAGE = """<!doctype html><pre id=out>waiting</pre><script type=module>
const out = document.getElementById('out');
try {
  const shaders = SHADERS;
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) throw new Error('no adapter');
  const subgroups = adapter.features.has('subgroups');
  const device = await adapter.requestDevice({requiredFeatures: subgroups ? ['subgroups'] : []});
  const answers = [];
  for (const shader of shaders) {
    if (shader.subgroups && !subgroups) { answers.push({what: shader.what, skipped: true}); continue; }
    const module = device.createShaderModule({code: shader.text});
    const {messages} = await module.getCompilationInfo();
    answers.push({what: shader.what, messages: messages.map(m => `${m.type}: line ${m.lineNum}: ${m.message}`)});
  }
  const broken = await device.createShaderModule({code: 'fn f() -> u32 { return 1.5; }'}).getCompilationInfo();
  out.textContent = JSON.stringify({vendor: adapter.info.vendor + ' ' + adapter.info.architecture, answers, finds: broken.messages.length > 0});
} catch (e) { out.textContent = JSON.stringify({error: String(e)}); }
</script>"""

root = pathlib.Path(__file__).resolve().parent.parent
browser = sys.argv[1] if len(sys.argv) > 1 else "chromium"
subprocess.run(["cargo", "test", "--quiet", "--test", "it", "--", "--ignored", "texts_for_a_browser"], cwd=root, check=True, stdout=subprocess.DEVNULL)
target = json.loads(subprocess.check_output(["cargo", "metadata", "--format-version=1", "--no-deps"], cwd=root))["target_directory"]
shaders = pathlib.Path(target, "tmp", "shaders.json").read_text()
with tempfile.TemporaryDirectory() as folder:
    page = pathlib.Path(folder, "page.html")
    page.write_text(PAGE.replace("SHADERS", shaders.replace("</", "<\\/")))
    flags = ["--headless=new", "--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]
    command = [browser, *flags, f"--user-data-dir={folder}/profile", "--timeout=60000", "--virtual-time-budget=60000", "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=180).stdout
found = re.search(r"<pre id=\"?out\"?>(.*?)</pre>", dom, re.S)
answer = json.loads(html.unescape(found.group(1))) if found and found.group(1) != "waiting" else {"error": "the page gave no answer"}
if "error" in answer:
    sys.exit(f"error: {answer['error']}")
bad = [(a["what"], m) for a in answer["answers"] for m in a.get("messages", []) if m.startswith("error")]
for what, message in bad:
    print(f"{what}: {message}")
skipped = sum("skipped" in a for a in answer["answers"])
notes = {m for a in answer["answers"] for m in a.get("messages", []) if not m.startswith("error")}
print(f"{len(answer['answers']) - skipped} shaders accepted by Chromium's WebGPU ({answer['vendor']}), {skipped} skipped for want of subgroups, {len(bad)} errors, {len(notes)} other messages")
print("\n".join(sorted(notes)), end="\n" if notes else "")
if not answer["finds"]:
    sys.exit("error: it accepts a shader that is wrong")
sys.exit(1 if bad else 0)
