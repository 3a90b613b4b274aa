"""Everything an operator can set, read once from the environment and ``.env`` and then passed down.

Nothing else in the package reads the environment. ``.env.example`` lists the same names; a test
keeps the two together.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ROOT = Path(__file__).resolve().parents[1]

Port = Annotated[
    Annotated[int, Field(ge=1, le=65535)] | None, BeforeValidator(lambda value: None if value == "" else value)
]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="XINGJI_", env_file=".env", extra="ignore", populate_by_name=True)

    host: str = Field(
        "127.0.0.1", description="监听地址；对外服务时先设 XINGJI_API_KEYS，再设为 0.0.0.0。 Address to listen on."
    )
    port: int = Field(5006, ge=0, le=65535, description="监听端口。 Port to listen on.")
    funasr_port: int = Field(
        10095,
        ge=0,
        le=65535,
        description="FunASR 客户端习惯的端口，只说它的协议；0 为不监听。 FunASR's usual port; 0: none.",
    )
    models: str = Field(
        "auto",
        description="auto（有官方模型则用，否则内置小模型）、official、minipack 或模型目录。 Which models.",
    )
    registry: str = Field(
        "",
        description="自己的模型登记表（形式同 models.json），盖在自带的上面；留空则只用自带的。"
        " A registry of your own, laid over models.json; empty: that alone.",
    )
    default_asr_model: str = Field(
        "",
        validation_alias=AliasChoices("DEFAULT_ASR_MODEL", "default_asr_model"),
        description="没有指明模型的录音和文件用哪个（登记表里的编号）；留空用登记表的缺省。"
        " The model of those that name none, by its id; empty: the registry's default.",
    )
    streaming_model: str = Field(
        "",
        description="流式模型的编号；none：不要流式模型，说话时的文本由复检模型反复读已说的部分得出；留空用登记表的缺省。"
        " The streaming model's id; none: text meanwhile is the second pass of what was said; empty: the registry's.",
    )
    download: bool = Field(
        False, description="启动时官方模型不全，就先下载（会推迟启动）。 Download missing official models at start."
    )
    models_cache: Path = Field(
        Path("models_cache"),
        validation_alias=AliasChoices("MODELSCOPE_CACHE", "models_cache"),
        description="来自 ModelScope 的官方模型和摘要记录。 Where models from ModelScope lie, and the lock.",
    )
    hf_cache: Path = Field(
        Path("hf_cache"),
        validation_alias=AliasChoices("HF_HOME", "hf_cache"),
        description="来自 Hugging Face 的官方模型。 Where models from Hugging Face lie.",
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto、cpu、cuda、cuda:N（ROCm 亦同）或 mps；没有就退回 CPU。 Device; CPU where it is absent.",
    )
    use_mps: bool = Field(
        True,
        validation_alias=AliasChoices("USE_MPS", "use_mps"),
        description="0 则不用 Apple 的 mps。 0 keeps the workers off Apple's mps.",
    )
    precision: Literal["auto", "float32", "int8"] = Field(
        "auto",
        description="auto（CPU 上有 --optimize 写好的图就用，int8 优先；CUDA 上 float16）、"
        "float32 或 int8（没有 int8 图就不会就绪）。"
        " What recognisers compute with; on CUDA auto is float16; on a CPU int8 never gets ready without its graphs.",
    )
    stream_workers: int = Field(
        1,
        ge=1,
        le=64,
        description="流式识别进程数；每个占一个核，int8 下约撑二十路。 Processes for live text, a core each.",
    )
    segment_workers: int = Field(
        1,
        ge=1,
        le=64,
        description="复检进程数，上传文件也由它们识别。 Processes for second pass and files, a core each.",
    )
    async_mode: Literal["eventlet", "threading"] = Field(
        "eventlet", description="eventlet（默认）或 threading（开发、Windows，约 100 个客户端以内）。 Server threads."
    )
    hotwords: Path = Field(Path("hotwords.json"), description="热词文件，改动后两秒内生效。 The hotword file.")
    hotword_tables: Path = Field(
        Path("hotword_tables"), description="命名热词表的目录，每表一个文件。 Folder of the named hotword tables."
    )
    sentence_silence_ms: int = Field(
        800,
        ge=200,
        le=6000,
        description="静音多久算一句结束（毫秒），客户端可以另定。 Silence that ends a sentence, unless a client says.",
    )
    chunk_ms: int = Field(
        600,
        ge=240,
        le=1200,
        multiple_of=120,
        description="流式识别的步长（毫秒），120 的倍数。 Step of the streaming recogniser, a multiple of 120.",
    )
    backup_dir: str = Field(
        "", description="备份录音的目录；留空则不备份。 Folder of backup audio; empty: none is kept."
    )
    backup_keep_h: float = Field(24.0, gt=0, description="备份录音保留多久（小时）。 How long backup audio is kept.")
    max_sessions: int = Field(
        100,
        ge=0,
        description="同时录音（含上传）的上限；0 为不设数目，推理跟不上时才拒绝新的。"
        " Recordings at a time, uploads included; 0: no number, new ones are refused while inference lags.",
    )
    max_connections: int = Field(
        10_000,
        ge=1,
        description="同时的连接数上限；再多的要等。 Connections at a time; more of them have to wait.",
    )
    live_load: float = Field(
        0.85,
        ge=0,
        le=4,
        description="实时录音最多占用推理进程的几成；装不下时拒绝新的。0 为不计。"
        " Part of the workers' time for live recordings; more are refused. 0: refuse none.",
    )
    idle_s: float = Field(60.0, gt=0, description="录音中多久没有音频就自动停止（秒）。 Idle limit of a recording.")
    max_recording_s: float = Field(14_400.0, gt=0, description="一次录音的最长时间（秒）。 Longest recording.")
    final_wait_s: float = Field(3.0, ge=0, description="只差纠错时，最终结果最多再等多久（秒）。 Wait for the LLM.")
    keep_result_s: float = Field(60.0, ge=0, description="最终结果在断线后保留多久（秒）。 How long results are kept.")
    job_timeout_s: float = Field(
        60.0, gt=0, description="推理进程多久没有回应就重启（秒）。 When a worker counts as hung."
    )
    start_timeout_s: float = Field(
        300.0,
        gt=0,
        description="多久还没就绪就在日志里报告（秒）；十倍时间还没就绪就重启推理进程。 When to report a slow start.",
    )
    max_upload_bytes: int = Field(500 << 20, gt=0, description="上传文件的大小上限（字节）。 Largest upload.")
    max_upload_s: float = Field(14_400.0, gt=0, description="上传音频的时长上限（秒）。 Longest upload.")
    jobs_dir: str = Field(
        "jobs",
        description="文件作业的目录：队列、音频、结果；留空则没有作业。 Folder of file jobs; empty: none.",
    )
    jobs_concurrency: int = Field(
        2, ge=1, le=64, description="同时识别几个作业；都让着实时录音和上传。 Jobs at a time; all give way to people."
    )
    jobs_keep_h: float = Field(
        24.0,
        gt=0,
        description="结束的作业和它的文本保留多久（小时）。 How long ended jobs are kept.",
    )
    jobs_keep_audio: bool = Field(
        False, description="作业的音频和作业保留得一样久；否则结束就删。 Keep a job's audio as long as the job."
    )
    jobs_max_bytes: int = Field(
        10 << 30,
        gt=0,
        description="作业目录的大小上限（字节）；先删最早结束的，仍放不下就拒绝新的。"
        " Largest size of the folder: those that ended first go first, then new ones are refused.",
    )
    jobs_urls: bool = Field(
        False, description="作业可以只给一个公网地址，由服务器去取。 Jobs may name a public address to fetch from."
    )
    jobs_url_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="不在公网上也可以去取的主机，逗号分隔。 Hosts to fetch from although they are not public.",
    )
    jobs_url_timeout_s: float = Field(600.0, gt=0, description="取一个文件的时限（秒）。 Limit for fetching one file.")
    max_frame_bytes: int = Field(10 << 20, gt=0, description="一个 Socket.IO 数据包的上限（字节）。 Largest packet.")
    ping_interval_s: int = Field(30, ge=1, description="心跳间隔（秒）。 Ping interval.")
    ping_timeout_s: int = Field(120, ge=1, description="心跳超时（秒）。 Ping timeout.")
    connection_timeout_s: float = Field(
        300.0,
        gt=0,
        description="连接上没有录音也没有事件，多久就关闭（秒）；心跳不算。"
        " When a connection without recording or event is closed; heartbeats do not count.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        ("*",), description="允许跨域访问的来源，逗号分隔，* 为全部。 Allowed origins."
    )
    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="API 密钥，逗号分隔；留空则不验证。 API keys; empty switches the check off.", repr=False
    )
    log_level: str = Field("INFO", description="日志级别。 Log level.")
    log_dir: str = Field("", description="日志文件的目录；留空则不写文件。 Folder of log files; empty: none.")

    llm_api_url: str = Field(
        "",
        validation_alias=AliasChoices("LLM_API_URL", "llm_api_url"),
        description="OpenAI 兼容接口的地址；留空则不做 LLM 纠错。 OpenAI-compatible server; empty: no correction.",
    )
    llm_api_key: str = Field(
        "", validation_alias=AliasChoices("LLM_API_KEY", "llm_api_key"), description="接口密钥。 Its key.", repr=False
    )
    llm_model: str = Field(
        "",
        validation_alias=AliasChoices("LLM_MODEL", "llm_model"),
        description="模型名；留空用登记表的缺省。 Model name; empty: the registry's default.",
    )
    llm_timeout_s: float = Field(
        4.0,
        gt=0,
        validation_alias=AliasChoices("LLM_TIMEOUT_S", "llm_timeout_s"),
        description="每句纠错的时限，含一次重试（秒）。 Limit per sentence, a retry included.",
    )
    llm_concurrency: int = Field(
        4,
        ge=1,
        validation_alias=AliasChoices("LLM_CONCURRENCY", "llm_concurrency"),
        description="同时进行的纠错请求数。 Corrections at a time.",
    )

    qwen3_vllm_host: str = Field(
        "",
        validation_alias=AliasChoices("QWEN3_VLLM_HOST", "qwen3_vllm_host"),
        description="提供 Qwen3-ASR 的 vLLM 主机名（或 https:// 开头的地址）；留空则不用。"
        " Host (or https:// address) of the vLLM that serves Qwen3-ASR; empty: none.",
    )
    qwen3_vllm_port: Port = Field(
        None,
        validation_alias=AliasChoices("QWEN3_VLLM_PORT", "qwen3_vllm_port"),
        description="它的端口；留空为 8000。 Its port; empty: 8000.",
    )
    qwen3_vllm_host_1_7b: str = Field(
        "",
        validation_alias=AliasChoices("QWEN3_VLLM_HOST_1_7B", "QWEN3_VLLM_HOST_QWEN3_ASR_1_7B", "qwen3_vllm_host_1_7b"),
        description="只给 qwen3-asr-1.7b 的主机，优先于共用的。 For qwen3-asr-1.7b alone, before the common one.",
    )
    qwen3_vllm_port_1_7b: Port = Field(
        None,
        validation_alias=AliasChoices("QWEN3_VLLM_PORT_1_7B", "QWEN3_VLLM_PORT_QWEN3_ASR_1_7B", "qwen3_vllm_port_1_7b"),
        description="它的端口。 Its port.",
    )
    qwen3_vllm_host_0_6b: str = Field(
        "",
        validation_alias=AliasChoices("QWEN3_VLLM_HOST_0_6B", "QWEN3_VLLM_HOST_QWEN3_ASR_0_6B", "qwen3_vllm_host_0_6b"),
        description="只给 qwen3-asr-0.6b 的主机，优先于共用的。 For qwen3-asr-0.6b alone, before the common one.",
    )
    qwen3_vllm_port_0_6b: Port = Field(
        None,
        validation_alias=AliasChoices("QWEN3_VLLM_PORT_0_6B", "QWEN3_VLLM_PORT_QWEN3_ASR_0_6B", "qwen3_vllm_port_0_6b"),
        description="它的端口。 Its port.",
    )
    qwen2_audio_vllm_host: str = Field(
        "",
        validation_alias=AliasChoices("QWEN2_AUDIO_VLLM_HOST", "qwen2_audio_vllm_host"),
        description="提供 Qwen2-Audio 的 vLLM 主机名。 Host of the vLLM that serves Qwen2-Audio.",
    )
    qwen2_audio_vllm_port: Port = Field(
        None,
        validation_alias=AliasChoices("QWEN2_AUDIO_VLLM_PORT", "qwen2_audio_vllm_port"),
        description="它的端口。 Its port.",
    )
    qwen3_vllm_api_key: str = Field(
        "",
        validation_alias=AliasChoices("QWEN3_VLLM_API_KEY", "qwen3_vllm_api_key"),
        description="这些 vLLM 的密钥。 The key of these servers.",
        repr=False,
    )
    qwen3_vllm_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias=AliasChoices("QWEN3_VLLM_ALLOWED_HOSTS", "qwen3_vllm_allowed_hosts"),
        description="请求可以用 vllm_host 指定的主机，逗号分隔；留空则不许指定。"
        " Hosts that a request may name as vllm_host; empty: none.",
    )
    qwen3_asr_timeout_s: float = Field(
        10.0,
        gt=0,
        validation_alias=AliasChoices("QWEN3_ASR_TIMEOUT_S", "qwen3_asr_timeout_s"),
        description="每段的时限，含一次重试（秒）；过后改用 SenseVoice。"
        " Limit per segment, a retry included; then SenseVoice reads it.",
    )
    qwen3_asr_concurrency: int = Field(
        16,
        ge=1,
        le=256,
        validation_alias=AliasChoices("QWEN3_ASR_CONCURRENCY", "qwen3_asr_concurrency"),
        description="每个服务同时进行的请求数。 Requests at a time to each server.",
    )
    qwen3_asr_check_s: float = Field(
        10.0,
        gt=0,
        validation_alias=AliasChoices("QWEN3_ASR_CHECK_S", "qwen3_asr_check_s"),
        description="多久检查一次这些服务（秒）；恢复后最多这么久就重新使用。"
        " How often they are checked; one that is back is used again within this time.",
    )

    qwen3_asr_embedded: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias=AliasChoices("QWEN3_ASR_EMBEDDED", "qwen3_asr_embedded"),
        description="没有给主机时，在本机 GPU 上用推理进程运行的模型编号（也可以是对齐模型），逗号分隔。"
        " Ids of models, aligners too, that a worker process runs on a GPU here, where no host is given.",
    )
    word_times_wait_s: float = Field(
        1.0,
        ge=0,
        description="模型没有给出逐字时间的句子，最多为补上时间多等多久（秒）；0 为不补。"
        " How long a sentence waits at most for times that its model did not give; 0: none are looked for.",
    )
    qwen3_asr_python: str = Field(
        "",
        validation_alias=AliasChoices("QWEN3_ASR_PYTHON", "qwen3_asr_python"),
        description="那个进程用的 Python，按 requirements-qwen3.txt 装好；留空则用自己的。"
        " The Python of that process, with requirements-qwen3.txt; empty: our own.",
    )
    qwen3_asr_gpu_share: float = Field(
        0.8,
        gt=0,
        le=1,
        validation_alias=AliasChoices("QWEN3_ASR_GPU_SHARE", "qwen3_asr_gpu_share"),
        description="它占显存的几成（用 vLLM 时）。 Its share of the GPU's memory, with vLLM.",
    )

    @field_validator(
        "cors_origins", "api_keys", "jobs_url_hosts", "qwen3_vllm_allowed_hosts", "qwen3_asr_embedded", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
