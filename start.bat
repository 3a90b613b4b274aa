@echo off
rem Installs what is needed and starts the server with plain threads, which Windows needs.
rem First run: set PIP_EXTRA_INDEX_URL to PyTorch's CPU index if pip should not take a larger build.
setlocal
cd /d "%~dp0"
set XINGJI_ASYNC_MODE=threading
set PYTHONUTF8=1
if not exist .venv\Scripts\python.exe (
    py -3.11 -m venv .venv || goto failed
)
.venv\Scripts\python.exe -m pip install --quiet --disable-pip-version-check -r requirements.txt || goto failed
.venv\Scripts\python.exe asr_api_server.py %*
if errorlevel 1 goto failed
exit /b 0

:failed
echo Could not start. Python 3.11 is needed: see README.md.
pause
exit /b 1
