"""Has a second WGSL compiler, that of Chromium, accept every shader: python3 tests/webgpu.py [CHROMIUM]

Makes the texts by `cargo test`, and gives them to createShaderModule in a headless browser. Exit code 1 if any has an error.
"""

import http.server
import json
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading

PAGE = """<!doctype html><script type=module>
const tell = answer => fetch('/answer', {method: 'POST', body: JSON.stringify(answer)});
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
  await tell({vendor: adapter.info.vendor + ' ' + adapter.info.architecture, answers, finds: broken.messages.length > 0});
} catch (e) { await tell({error: String(e)}); }
</script>"""

root = pathlib.Path(__file__).resolve().parent.parent
browser = sys.argv[1] if len(sys.argv) > 1 else "chromium"
features = open(f"{root}/scripts/features").read().strip()
subprocess.run(["cargo", "test", "--workspace", "--features", features, "--quiet", "--test", "it", "--", "--ignored", "texts_for_a_browser"], cwd=root, check=True, stdout=subprocess.DEVNULL)
target = json.loads(subprocess.check_output(["cargo", "metadata", "--format-version=1", "--no-deps"], cwd=root))["target_directory"]
shaders = pathlib.Path(target, "tmp", "shaders.json").read_text()
page = PAGE.replace("SHADERS", shaders.replace("</", "<\\/")).encode()
answers: queue.Queue[dict] = queue.Queue()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(page)

    def do_POST(self):
        answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
    flags = ["--headless=new", "--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]
    address = f"http://127.0.0.1:{server.server_port}/"
    command = [browser, *flags, f"--user-data-dir={folder}", "--remote-debugging-port=0", address]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        answer = answers.get(timeout=180)
    except queue.Empty:
        answer = {"error": "the browser gave no answer"}
    process.terminate()
    process.wait()
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
