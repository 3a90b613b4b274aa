# 星纪 ASR 的镜像，CPU 与 GPU 同一份。 One file for the CPU and the GPU image.
#   CPU: docker build --build-arg PIP_EXTRA_INDEX_URL=<PyTorch's CPU index> -t xingshengji-asr:latest .
#   GPU: docker build --build-arg REQUIREMENTS=requirements-gpu.txt -t xingshengji-asr:gpu .
FROM python:3.11-slim

# Without an extra index pip takes PyTorch's CUDA build: it works without a GPU too, and is several GB larger.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG REQUIREMENTS=requirements.txt

WORKDIR /app
COPY requirements.txt requirements-gpu.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check -r "$REQUIREMENTS"

COPY asr_api_server.py download_models.py gunicorn.conf.py hotwords.json models.json openapi.yaml LICENSE ./
COPY web web
COPY clients clients
COPY xingji xingji

# The server owns nothing but its data, so that nothing else can be changed through it.
RUN useradd --uid 1000 --create-home xingji \
    && mkdir models_cache hf_cache logs config jobs \
    && cp hotwords.json config/ \
    && chown -R xingji models_cache hf_cache logs config jobs
USER xingji

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    HF_HOME=/app/hf_cache \
    MODELSCOPE_CACHE=/app/models_cache \
    XINGJI_HOST=0.0.0.0 \
    XINGJI_PORT=5006 \
    XINGJI_MODELS=official \
    XINGJI_MAX_SESSIONS=10 \
    XINGJI_HOTWORDS=/app/config/hotwords.json \
    XINGJI_HOTWORD_TABLES=/app/config/hotword_tables \
    XINGJI_LOG_DIR=/app/logs \
    XINGJI_JOBS_DIR=/app/jobs

VOLUME ["/app/models_cache", "/app/hf_cache", "/app/logs", "/app/config", "/app/jobs"]
EXPOSE 5006
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['XINGJI_PORT']}/api/health\", timeout=5)"]

# gunicorn.conf.py beside it says the rest. SIGTERM finishes what is being recorded, within 20 s.
CMD ["gunicorn", "asr_api_server:app"]
