-- Health of a RoutingEntry, CallAuthorization or ServiceContract in Argo CD: what its condition Ready says, once the operator has
-- judged the present generation. Argo CD gives the object as `obj` and no library but the base one.

local function answer(status, message)
  return { status = status, message = message }
end

local function condition(kind)
  local conditions = obj.status ~= nil and obj.status.conditions or {}
  for _, candidate in ipairs(conditions) do
    if candidate.type == kind then
      return candidate
    end
  end
  return nil
end

local function told(about)
  if about.message == nil or about.message == "" then
    return about.reason or "no reason is given"
  end
  return (about.reason or "") .. ": " .. about.message
end

-- False is a fault that stays until somebody acts, Unknown is a question that the next seconds answer.
local function fault(about)
  if about.status == "False" then
    return answer("Degraded", told(about))
  end
  return answer("Progressing", told(about))
end

if obj.metadata.deletionTimestamp ~= nil then
  return answer("Progressing", "it is being deleted")
end

local ready = condition("Ready")
if ready == nil then
  return answer("Progressing", "the operator has not judged it yet")
end
if ready.observedGeneration ~= obj.metadata.generation then
  return answer("Progressing", "the operator has not judged this generation yet")
end
if ready.status == "True" then
  return answer("Healthy", told(ready))
end
if ready.reason == "Suspended" then
  -- It is suspended once every dataplane has taken its rows out.
  local programmed = condition("Programmed")
  if programmed == nil then
    return answer("Progressing", told(ready))
  end
  if programmed.status == "True" then
    return answer("Suspended", told(ready))
  end
  return fault(programmed)
end
return fault(ready)
